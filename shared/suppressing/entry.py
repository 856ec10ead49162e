"""One entry of the suppression list as people and programs write it: checked, and shown.

Takes plain fields (of JSON, of a command's options, of a row of CSV), gives a `Suppression` or what
is wrong with each field. What is said of a wrong field never repeats what stood in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from shared.addresses import canonical, mailbox
from shared.model.suppression import REASONS, Suppression
from shared.times import parsed, shown

EVERYBODY = "*"
"""In place of an application: everybody's mail."""
FIELDS = ("address", "application", "list", "reason", "expires_at", "detail")
"""What clients may say. An import may also say `source` and `created_at`."""
MOST_DETAIL = 100
MOST_ADDRESS = 320
"""Characters; what is longer is not looked at."""
_MOST_NAME = 64
_MOST_BYTES = 255
"""Of a name and of a detail, in UTF-8: that the store keeps."""
_MOST_READ = 400
_CLOCKS_APART_MS = 86_400_000
"""An entry from another machine may be from so far ahead."""
_LAST_MS = 253_402_300_799_999
"""The end of 9999 in UTC: later times cannot be shown."""
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_ADDRESS = re.compile(
    r'(?:"[^"]*"|[^\s<>"(),;:\[\]]+)(?:@|%40)(?:\[[^\]\s]*\]|[^\s<>"(),;:\[\]]+)', re.IGNORECASE
)


class Wrong(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: str
    code: str
    detail: str


class Asking(msgspec.Struct, frozen=True):
    """On whose behalf the list is changed."""

    application: str | None
    """Whose entry it is where that is not said; empty: everybody's; None: it must be said."""
    source: str
    now_ms: int
    operate: bool = False
    """Whether it may be another application's, or everybody's."""


def entry_of(fields: Mapping[str, Any], asking: Asking) -> tuple[Suppression | None, list[Wrong]]:
    """The entry, or what is wrong with it. Fields that nobody knows are not looked at."""
    wrong: list[Wrong] = []
    address = address_of(fields.get("address"), wrong)
    application = _application(fields, asking, wrong)
    list_name = list_of(fields.get("list"), wrong)
    reason = fields.get("reason", "manual")
    if reason not in REASONS:
        wrong.append(Wrong("reason", "bad_value", f"One of {', '.join(REASONS)}."))
    source = fields.get("source", asking.source)
    if not (isinstance(source, str) and _SOURCE.match(source)):
        text = "1 to 64 letters, digits, dots, colons, hyphens and underscores."
        wrong.append(Wrong("source", "bad_value", text))
    created = _moment(fields, "created_at", wrong)
    if created is not None and not 0 <= created <= asking.now_ms + _CLOCKS_APART_MS:
        wrong.append(Wrong("created_at", "bad_time", "Must lie after 1970, and not ahead."))
    expires = _moment(fields, "expires_at", wrong)
    if expires is not None and expires <= asking.now_ms:
        wrong.append(Wrong("expires_at", "too_early", "Must lie ahead."))
    if expires is not None and expires > _LAST_MS:
        wrong.append(Wrong("expires_at", "bad_time", "Must lie before the year 10000."))
    detail = fields.get("detail", "")
    if text := wrong_detail(detail):
        wrong.append(Wrong("detail", "bad_value", text))
    if wrong or address is None:
        return None, wrong
    at_ms = asking.now_ms if created is None else created
    return Suppression(
        address, application, list_name, reason, source, at_ms, expires, detail
    ), wrong


def address_of(value: Any, wrong: list[Wrong]) -> str | None:
    """The canonical form of an address; None after a report."""
    if value is None:
        wrong.append(Wrong("address", "required", "An address, such as bob@example.com."))
        return None
    if not isinstance(value, str):
        wrong.append(Wrong("address", "wrong_type", "Must be a string."))
        return None
    found = mailbox(value) if len(value) <= MOST_ADDRESS and _is_text(value) else None
    if found is None:
        text = "No valid address. It looks like bob@example.com, without a name."
        wrong.append(Wrong("address", "bad_address", text))
        return None
    return canonical(found)


def application_of(value: Any, wrong: list[Wrong]) -> str:
    """Whose mail: a name, or empty for everybody's (`"*"` and None)."""
    if value is None or value == EVERYBODY:
        return ""
    name = value.strip() if isinstance(value, str) else ""
    if _is_name(name):
        return name
    text = f'The name of an application, or "{EVERYBODY}" for everybody\'s.'
    wrong.append(Wrong("application", "bad_value", text))
    return ""


def list_of(value: Any, wrong: list[Wrong]) -> str:
    """Which list's mail; None and empty: all."""
    if value is None or value == "":
        return ""
    name = unicodedata.normalize("NFC", value) if isinstance(value, str) else ""
    if _is_name(name) and name == name.strip():
        return name
    text = f"1 to {_MOST_NAME} printable characters; leave it out for all mail."
    wrong.append(Wrong("list", "bad_value", text))
    return ""


def _is_name(text: str) -> bool:
    printable = 0 < len(text) <= _MOST_NAME and text.isprintable()
    return printable and len(text.encode()) <= _MOST_BYTES


def wrong_detail(value: Any) -> str:
    """What is wrong with a detail; empty when nothing is."""
    fits = isinstance(value, str) and len(value) <= MOST_DETAIL and value.isprintable()
    if fits and len(value.encode()) <= _MOST_BYTES:
        return "Must not hold an address." if _ADDRESS.search(value) else ""
    return f"At most {MOST_DETAIL} printable characters, without addresses."


def tidy_detail(text: str) -> str:
    """What a server said, as a detail: one line, short, `[address]` in place of addresses."""
    if len(text) > _MOST_READ:  # A word that is cut in two may be half an address.
        text = text[:_MOST_READ].rpartition(" ")[0]
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    while (fewer := _ADDRESS.sub("[address]", text)) != text:
        text = fewer
    return text[:MOST_DETAIL].encode()[:_MOST_BYTES].decode(errors="ignore").rstrip()


def entry_shown(entry: Suppression) -> dict[str, Any]:
    """An entry as JSON."""
    return {
        "address": entry.address,
        "application": entry.application or EVERYBODY,
        "list": entry.list or None,
        "reason": entry.reason,
        "source": entry.source,
        "created_at": shown(entry.at_ms),
        "expires_at": shown(entry.expires_ms),
        "detail": entry.detail,
    }


def _application(fields: Mapping[str, Any], asking: Asking, wrong: list[Wrong]) -> str:
    if "application" not in fields:
        if asking.application is None:
            text = f'Whose entry: an application, or "{EVERYBODY}" for everybody\'s.'
            wrong.append(Wrong("application", "required", text))
        return asking.application or ""
    found = application_of(fields["application"], wrong)
    if not asking.operate and found != asking.application:
        text = "Only your own: others' and everybody's entries need the scope operate."
        wrong.append(Wrong("application", "not_allowed", text))
    return found


def _moment(fields: Mapping[str, Any], name: str, wrong: list[Wrong]) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        found = parsed(value) if isinstance(value, str) else None
    except ValueError:
        wrong.append(Wrong(name, "bad_time", "There is no such time."))
        return None
    if found is None:
        text = "A time with an offset, such as 2027-01-31T12:00:00Z (RFC 3339)."
        wrong.append(Wrong(name, "bad_time", text))
    return found


def _is_text(value: str) -> bool:
    """Whether it can be encoded: halves of surrogate pairs cannot."""
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
