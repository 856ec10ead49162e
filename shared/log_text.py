"""What may stand in a log line: text made harmless, addresses as keyed hashes, secrets left out.

`Cleaner.value` takes anything and gives strings, numbers, lists and tables for JSON. Whatever a
client or a server wrote stays one value on one line: control characters, line separators and what
turns the direction of text are written as `\\u202e`. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from shared.domains import domain_of
from shared.errors import ConfigError, PosthasteError

MOST_TEXT = 300
MOST_KEY = 40
MOST_ENTRIES = 20
MOST_FIELDS = 40
MOST_DEPTH = 4
LARGEST_BITS = 63
_LONGEST_READ = 1000
"""Of a longer text only this much is looked at."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Unicode's control, format, surrogate and separator characters, but for spaces."""

_SIDE = r"[^\s\"<>(),:;\[\]@]"
_ADDRESS = re.compile(
    rf"(?:\"[^\"\r\n]{{1,64}}\"|[^\s\"<>(),:;\[\]]{{1,200}}?)(?:@|%40)"
    rf"(?:\[[^\]\s]{{1,60}}\]|{_SIDE}{{1,255}})(?:(?:@|%40){_SIDE}*)*",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"://[^\s/@]+@")
_SECRETS = (
    (re.compile(r"ph_[0-9a-f]{4,}_[A-Za-z0-9_-]+"), "[key]"),
    (re.compile(r"\b(bearer|basic)\s+[^\s,;\"']+", re.IGNORECASE), r"\1 [secret]"),
    (
        re.compile(
            r"\b(authorization|cookie|password|passwd|secret|token|api[-_]?key)\b(\s*[=:]\s*)"
            r"(?!\[)[^\s,;&]+",
            re.IGNORECASE,
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"(https?://[^\s/?#]+)[/?#][^\s]*", re.IGNORECASE), r"\1/..."),
)
_SUSPICIOUS = re.compile(
    r"ph_|://|bearer|basic|authoriz|cookie|passw|secret|token|api[-_]?key", re.IGNORECASE
).search
"""Whether any of `_SECRETS` can be in a text; one search instead of five."""
_PLAIN = re.compile(r"[A-Za-z0-9_./<>{}+-]*").fullmatch
"""Ids, names, routes, words: nothing in them needs a closer look, but for keys."""
_WITHHELD = frozenset(
    {
        "subject", "text", "html", "body", "content", "headers", "header", "password", "token",
        "secret", "key", "authorization", "cookie", "dsn", "query", "url",
    }
)  # fmt: skip
"""Fields that are not logged, whoever puts them there."""
_ADDRESSES = frozenset({"address", "recipient", "recipients", "sender", "email"})
_HOPS = frozenset({"hop"})
_HOP = re.compile(r"[a-z0-9][a-z0-9._:~?<-]{0,255}(?:@[a-z0-9._~?+<:-]{1,255})?").fullmatch
"""The name of a hop (`shared/hops.py`). One with a route has an `@`, and is nobody's address."""


class Hostile(msgspec.Struct, frozen=True):
    """What a server said, and words that must not be repeated should they be in it."""

    text: str
    private: tuple[str, ...] = ()


class Cleaner:
    """How this process writes addresses: `hash`, `plain` or `off`."""

    def __init__(self, addresses: str, key: bytes) -> None:
        self._addresses = addresses
        self._key = key

    def address(self, email: str) -> str:
        """An address as it is logged."""
        if self._addresses == "plain":
            return _harmless(email)
        if self._addresses == "off":
            return "[address]"
        return address_hash(email, self._key)

    def text(self, text: str, most: int = MOST_TEXT, private: Sequence[str] = ()) -> str:
        """A text as it is logged: at most `most` characters, but for escapes; without `private`."""
        if len(text) <= most and not private and _PLAIN(text) and "ph_" not in text:
            return text  # Most of what is logged.
        text = _beginning(text, _LONGEST_READ)
        if "@" in text or "%40" in text:
            text = _CREDENTIALS.sub("://[secret]@", text)
            text = _ADDRESS.sub(lambda found: self.address(found[0]), text)
        if private and self._addresses != "plain":
            text = _without(text, private)
        if _SUSPICIOUS(text):
            for pattern, instead in _SECRETS:
                text = pattern.sub(instead, text)
        return _harmless(_beginning(text, most))

    def value(self, value: Any, depth: int = 0) -> Any:
        """Anything, as JSON can say it."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
            return f"[{value.bit_length()} bits]"
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Hostile):
            return self.text(value.text, private=value.private)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"[{len(value)} bytes]"
        if isinstance(value, BaseException):
            # Ours say what to do; another's text may hold what it was raised with.
            ours = isinstance(value, PosthasteError)
            return self.text(str(value)) if ours else type(value).__qualname__
        if depth < MOST_DEPTH and isinstance(value, Mapping):
            return self.fields(value, depth + 1)
        if depth < MOST_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(each, depth + 1) for each in list(value)[:MOST_ENTRIES]]
        return f"[{type(value).__qualname__}]"

    def fields(self, given: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """A table, field by field."""
        found: dict[str, Any] = {}
        items = given.items() if len(given) <= MOST_FIELDS else list(given.items())[:MOST_FIELDS]
        for name, value in items:
            if isinstance(name, str) and len(name) <= MOST_KEY and _PLAIN(name):
                key = name
            else:
                key = self.text(str(name), MOST_KEY)
            if name in _WITHHELD:
                found[key] = "[withheld]"
            elif name in _ADDRESSES:
                found[key] = self._all_addresses(value)
            elif name in _HOPS and _is_hop(value):
                found[key] = value
            else:
                found[key] = self.value(value, depth)
        return found

    def _all_addresses(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self.address(str(each)) for each in value[:MOST_ENTRIES]]
        return self.address(str(value))


def _is_hop(value: Any) -> bool:
    return isinstance(value, str) and "ph_" not in value and _HOP(value) is not None


def address_hash(email: str, key: bytes) -> str:
    """`addr:` and 16 hexadecimal digits; the same for every way to write one address."""
    local, at, domain = email.strip(" <>.'`").replace("%40", "@").rpartition("@")
    plain = f"{local.lower()}{at}{_domain(domain)}".encode("utf-8", "surrogatepass")
    return "addr:" + hashlib.blake2b(plain, digest_size=8, key=key[:64]).hexdigest()


@lru_cache(maxsize=1024)
def _domain(text: str) -> str:
    """The one way to write a domain."""
    try:
        return domain_of(text)
    except ConfigError:
        return text.rstrip(".").lower()  # Not a domain.


def _without(text: str, private: Sequence[str]) -> str:
    lower = text.lower()
    for word in private:
        if word.lower() in lower:
            text = re.sub(re.escape(word), "[...]", text, flags=re.IGNORECASE)
    return text


def _beginning(text: str, most: int) -> str:
    """The first characters; a word that would be cut in two goes, it might be half an address."""
    if len(text) <= most:
        return text
    kept = text[:most]
    cut = max(kept.rfind(" "), kept.rfind("\n"), kept.rfind("\t"))
    return (kept[:cut] if cut > 0 else "") + "..."


def _harmless(text: str) -> str:
    return _UNSAFE.sub(_escaped, text) if not text.isprintable() else text


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
