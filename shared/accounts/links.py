"""Links that work once: to become the first owner, to accept an invitation, to set a new password.

The link has a token, the store its SHA-256. There is one link for each purpose and person, so a new
one ends the one before. It is taken in the same write as what it is for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

import msgspec

from shared.accounts.user import Role
from shared.clock import Clock
from shared.model.message import UnknownFormat, check_format
from shared.store.records import ANY, Audited, Change, Records

KIND = "links"
Purpose = Literal["first", "invitation", "reset"]
SECONDS: dict[Purpose, int] = {"first": 24 * 3600, "invitation": 72 * 3600, "reset": 1800}
"""How long a link works."""
_FORMAT = 1
_KEY_BYTES, _KEY_LETTERS = 9, 12
_encode = msgspec.msgpack.Encoder().encode


class Link(msgspec.Struct, frozen=True):
    """As it is stored."""

    purpose: Purpose
    digest: bytes
    """SHA-256 of the token."""
    made_ms: int
    ends_ms: int
    login: str = ""
    """Whom it is for; of the first owner empty."""
    name: str = ""
    role: Role = "owner"
    user_id: str = ""
    """Of a reset."""
    by: str = ""
    """Login of who has made it."""

    @property
    def id(self) -> str:
        """What pages call it; not the token."""
        return _key(self.purpose, self.login).hex()


_decode = msgspec.msgpack.Decoder(Link).decode


class Links:
    """All links that still work."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def made(
        self,
        purpose: Purpose,
        *,
        login: str = "",
        name: str = "",
        role: Role = "owner",
        user_id: str = "",
        by: str = "",
    ) -> tuple[str, Link, Change]:
        """A new link: its token, and what stores it, to be written with its audit entry."""
        key, now = _key(purpose, login), self._clock.now_ms()
        token = base64.urlsafe_b64encode(key).decode() + secrets.token_urlsafe(32)
        ends = now + SECONDS[purpose] * 1000
        link = Link(purpose, _digest(token), now, ends, login, name, role, user_id, by)
        return token, link, Change(KIND, key, bytes((_FORMAT,)) + _encode(link), ANY, ends)

    def find(self, token: str) -> tuple[Link, Change] | None:
        """The link of a token, and what takes it, to be written with what it is for."""
        key = _key_in(token)
        packed = None if key is None else self._records.get(KIND, key)
        link = None if packed is None else _unpack(packed)
        if key is None or link is None or not hmac.compare_digest(link.digest, _digest(token)):
            return None
        return link, Change(KIND, key, None, packed)

    def ended(self, purpose: Purpose, login: str = "") -> Change:
        """What ends the link of this purpose and person, if there is one."""
        return Change(KIND, _key(purpose, login), None, ANY)

    def invitations(self) -> list[Link]:
        """Those that nobody has accepted yet, by login."""
        found = [_unpack(packed) for packed in self._records.all(KIND).values()]
        mine = [link for link in found if link is not None and link.purpose == "invitation"]
        return sorted(mine, key=lambda link: link.login)

    def withdraw(self, link_id: str, audited: Sequence[Audited] = ()) -> bool:
        """End an invitation by its id; False: there is none."""
        for link in self.invitations():
            if link.id == link_id:
                packed = bytes((_FORMAT,)) + _encode(link)
                change = Change(KIND, bytes.fromhex(link_id), None, packed)
                return self._records.write([change], audited)
        return False


def _key(purpose: Purpose, login: str) -> bytes:
    text = f"{purpose}\0{login}".encode(errors="replace")
    return hashlib.sha256(text).digest()[:_KEY_BYTES]


def _key_in(token: str) -> bytes | None:
    try:
        return base64.b64decode(token[:_KEY_LETTERS], altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _unpack(packed: bytes) -> Link | None:
    """None where another release has made it: whoever has it gets a new one."""
    try:
        check_format("link", packed, _FORMAT)
        return _decode(packed[1:])
    except (UnknownFormat, msgspec.MsgspecError):
        return None
