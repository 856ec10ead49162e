"""Passwords: what is wrong with one, its hash, and whether one is right (B10, B28).

A password is taken as it was typed, in Unicode's form NFC: nothing is stripped and nothing cut. The
settings say how long it must be; a long one of a few runs, a common one or one made of the login is
refused. Hashes are Argon2id. At most two are worked out at once in a process, since each takes
memory, and few may wait: whoever finds no place gets `TooManyAtOnce`.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from shared.accounts.blocklist import blocked, words_of
from shared.console_settings import ConsoleSettings

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
"""OWASP's least for Argon2id; some 20 ms of a core."""
LONGEST_BYTES = 1024
_HASH_BYTES, _SALT_BYTES = 32, 16
_WAIT_SECONDS = 2.0
_PLACES = threading.BoundedSemaphore(2)
"""Of this process, however many `Passwords` it has: 2 x 19 MiB."""
_QUEUE = threading.BoundedSemaphore(4)
"""Those at a place and those that wait for one: web's other threads are for mail."""
_NAMES = ("", "one kind", "two kinds", "three kinds", "all four kinds")


class TooManyAtOnce(Exception):
    """So many passwords are being checked that this one was not."""


class Weakness(msgspec.Struct, frozen=True):
    """Why a password is not taken."""

    code: str
    """too_short, too_long, classes, no_text, common, repeated, sequence, about."""
    detail: str
    """The same for a person."""


class Passwords:
    """Rules and hashes, for the console's settings."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES, _HASH_BYTES, _SALT_BYTES)
        self._nobody = _hash_of_nothing()
        self._own = ("posthaste", *words_of(urlsplit(settings.url).hostname or ""))

    def weaknesses(
        self, password: str, *, two_factor: bool, about: Sequence[str] = ()
    ) -> list[Weakness]:
        """Every reason against it at once; `about` are words of its user: login, name."""
        settings, text = self._settings, _plain(password)
        if text is None:
            too_long = len(password) > LONGEST_BYTES or len(_bytes(password)) > LONGEST_BYTES
            return [_TOO_LONG if too_long else _NO_TEXT]
        least = settings.password_min_length
        if two_factor:
            least = min(least, settings.password_min_length_two_factor)
        found = []
        if len(text) < least:
            found.append(Weakness("too_short", f"It has {len(text)} of {least} characters."))
        if _classes(text) < settings.password_classes:
            detail = f"It needs {_NAMES[settings.password_classes]} of: lower case, upper case, "
            found.append(Weakness("classes", detail + "digits, other characters."))
        words = [*self._own, *(part for text in about for part in words_of(text))]
        return found + [Weakness(code, detail) for code, detail in blocked(text, words)]

    def stands_alone(self, password: str) -> bool:
        """Whether it is long enough without a second factor."""
        text = _plain(password)
        return text is not None and len(text) >= self._settings.password_min_length

    def hash(self, password: str) -> str:
        """For the store, in the PHC format. Raises `ValueError` for what `weaknesses` calls too
        long, and `TooManyAtOnce`."""
        text = _plain(password)
        if text is None:
            raise ValueError("no password of at most 1,024 bytes")
        with _place():
            return self._hasher.hash(text.encode())

    def verify(self, hashed: str, password: str) -> bool:
        """Whether it is the password behind `hashed`; of nobody ("") never, in the same time.

        Raises `TooManyAtOnce`.
        """
        text = _plain(password)
        if text is None:
            return False
        with _place():
            try:
                right = self._hasher.verify(hashed or self._nobody, text.encode())
            except (Argon2Error, InvalidHashError):
                return False
        return right and bool(hashed)

    def needs_rehash(self, hashed: str) -> bool:
        """Whether it was made at another cost than is used now."""
        return self._hasher.check_needs_rehash(hashed)


_TOO_LONG = Weakness("too_long", f"It may have {LONGEST_BYTES:,} bytes at most.")
_NO_TEXT = Weakness("no_text", "It has characters that are no text.")


def _plain(password: str) -> str | None:
    """In NFC; None: too long, or no text. To normalise takes time: the length comes first."""
    if len(password) > LONGEST_BYTES:
        return None
    text = unicodedata.normalize("NFC", password)
    try:
        return text if len(text.encode()) <= LONGEST_BYTES else None
    except UnicodeEncodeError:
        return None


def _bytes(password: str) -> bytes:
    return password.encode(errors="replace")


def _classes(text: str) -> int:
    kinds = {
        "lower" if each.islower() else "upper" if each.isupper() else
        "digit" if each.isdigit() else "other"
        for each in text
    }  # fmt: skip
    return len(kinds)


@contextmanager
def _place() -> Iterator[None]:
    if not _QUEUE.acquire(blocking=False):
        raise TooManyAtOnce
    try:
        if not _PLACES.acquire(timeout=_WAIT_SECONDS):
            raise TooManyAtOnce
        try:
            yield
        finally:
            _PLACES.release()
    finally:
        _QUEUE.release()


def _hash_of_nothing() -> str:
    """Looks like a hash and costs as much, and no password is behind it."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"
