"""Users in the store: found by id or login, changed as they were read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import msgspec
import structlog

from shared.accounts.user import User
from shared.model.message import UnknownFormat, check_format
from shared.store.records import ANY, Audited, Change, Records

KIND = "users"
LOGINS = "logins"
_FORMAT = 1
_TRIES = 20
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(User).decode
_log = structlog.get_logger(__name__)


class TooBusy(Exception):
    """Others changed the same user again and again."""


class Step(msgspec.Struct, frozen=True):
    """What one write does to a user, and what else belongs to it."""

    after: User
    also: Sequence[Change] = ()
    audited: Sequence[Audited] = ()


def pack(user: User) -> bytes:
    """As stored: the format byte 1, then msgpack."""
    return bytes((_FORMAT,)) + _encode(user)


def unpack(packed: bytes) -> User:
    """The inverse. Raises `UnknownFormat`."""
    check_format("user", packed, _FORMAT)
    try:
        return _decode(packed[1:])
    except msgspec.MsgspecError as error:
        raise UnknownFormat("user") from error


def new_id() -> str:
    """An id for a user."""
    return f"usr_{secrets.token_hex(8)}"


class Users:
    """All users."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, user_id: str) -> User | None:
        """By id; one that this release cannot read is not there."""
        packed = self._records.get(KIND, user_id.encode())
        return None if packed is None else _read(packed)

    def find(self, login: str) -> User | None:
        """By login, as `login_of` makes it."""
        found = self._records.get(LOGINS, login.encode())
        return None if found is None else self.get(found.decode())

    def all(self) -> list[User]:
        """Everybody who can be read, by login."""
        return self.read()[0]

    def read(self) -> tuple[list[User], int]:
        """The same, and how many cannot be read."""
        found = [_read(packed) for packed in self._records.all(KIND).values()]
        users = [user for user in found if user is not None]
        return sorted(users, key=lambda user: user.login), len(found) - len(users)

    def add(self, user: User, audited: Sequence[Audited] = (), also: Sequence[Change] = ()) -> bool:
        """Store a new user; False where the login is taken, or `also` is not as expected."""
        return self._records.write(
            [
                Change(LOGINS, user.login.encode(), user.id.encode()),
                Change(KIND, user.id.encode(), pack(user)),
                *also,
            ],
            audited,
        )

    def change(
        self,
        user_id: str,
        changed: Callable[[User], User | None],
        audited: Sequence[Audited] = (),
        also: Sequence[Change] = (),
    ) -> User | None:
        """The user as `changed` makes it of what is stored, in one step with `also`.

        None where there is no such user, `changed` says None, or `also` is not as expected: nothing
        is done then. `changed` may be called again where somebody else was faster.
        """
        for _ in range(_TRIES):
            packed = self._records.get(KIND, user_id.encode())
            before = None if packed is None else _read(packed)
            after = None if before is None else changed(before)
            if packed is None or before is None or after is None:
                return None
            after = msgspec.structs.replace(after, revision=before.revision + 1)
            changes = [Change(KIND, user_id.encode(), pack(after), packed), *also]
            if after.login != before.login:
                changes.append(Change(LOGINS, after.login.encode(), user_id.encode()))
                changes.append(Change(LOGINS, before.login.encode(), None, ANY))
            if self._records.write(changes, audited):
                return after
            if self._records.get(KIND, user_id.encode()) == packed:
                return None  # The user is as it was: it is `also`, or a login that is taken.
        raise TooBusy(user_id)

    def step(self, user_id: str, step: Callable[[User], Step | None]) -> User | None:
        """The user as `step` makes it, in one write with all that belongs to it.

        `step` is asked anew for as long as something else changes meanwhile, and reads what it
        needs each time. None where there is no such user, or `step` says None: nothing is done.
        Raises `TooBusy`.
        """
        for _ in range(_TRIES):
            packed = self._records.get(KIND, user_id.encode())
            before = None if packed is None else _read(packed)
            made = None if before is None else step(before)
            if packed is None or before is None or made is None:
                return None
            after = msgspec.structs.replace(made.after, revision=before.revision + 1)
            change = Change(KIND, user_id.encode(), pack(after), packed)
            if self._records.write([change, *made.also], made.audited):
                return after
        raise TooBusy(user_id)


def _read(packed: bytes) -> User | None:
    try:
        return unpack(packed)
    except UnknownFormat as error:
        _log.error("user_unreadable", reason=str(error))
        return None
