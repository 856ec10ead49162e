"""Codes by mail as a second step: weaker than an app's, since a mailbox is easier to get into.

Eight digits, for one session only, for ten minutes, five tries and one use. The store has a digest
under a key, because eight digits are soon tried.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec

from shared.accounts.totp import digits_of
from shared.clock import Clock
from shared.model.message import UnknownFormat, check_format
from shared.store.records import ANY, Change, Records

KIND = "mailed-codes"
DIGITS = 8
SECONDS = 600
TRIES = 5
_FORMAT = 1
_WRITES = 20


class _Code(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    tries: int
    ends_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Code).decode


class MailedCodes:
    """The codes that are under way."""

    def __init__(self, records: Records, clock: Clock, keys: tuple[bytes, ...]) -> None:
        self._records = records
        self._clock = clock
        key = keys[0] if keys else b""
        self._key = hmac.digest(key, b"codes by mail", hashlib.sha256)

    def made(self, session_id: str) -> tuple[str, Change]:
        """A new code for a session, and what stores it; it ends the one before."""
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        ends = self._clock.now_ms() + SECONDS * 1000
        found = _Code(self._digest(session_id, code), TRIES, ends)
        return code, Change(KIND, session_id.encode(), _pack(found), ANY, ends)

    def taken(self, session_id: str, given: str) -> Change | None:
        """What takes the code, to be written with what it is for; None: it is wrong, which has cost
        a try, or there is none."""
        key, digest = session_id.encode(), self._digest(session_id, digits_of(given, DIGITS))
        for _ in range(_WRITES):
            packed = self._records.get(KIND, key)
            code = None if packed is None else _unpack(packed)
            if packed is None or code is None or code.tries < 1:
                return None
            if hmac.compare_digest(code.digest, digest):
                return Change(KIND, key, None, packed)
            less = msgspec.structs.replace(code, tries=code.tries - 1)
            if self._records.write([Change(KIND, key, _pack(less), packed, code.ends_ms)]):
                return None
        return None

    def _digest(self, session_id: str, code: str) -> bytes:
        return hmac.digest(self._key, f"{session_id}\0{code}".encode(), hashlib.sha256)


def _pack(code: _Code) -> bytes:
    return bytes((_FORMAT,)) + _encode(code)


def _unpack(packed: bytes) -> _Code | None:
    try:
        check_format("mailed code", packed, _FORMAT)
        return _decode(packed[1:])
    except (UnknownFormat, msgspec.MsgspecError):
        return None
