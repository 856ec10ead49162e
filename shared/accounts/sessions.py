"""Sessions of browsers: the cookie has a token, the store its digest (B26).

A session has a new token at each change of what it may do. It ends by itself when it is idle or
old, when the user says so, and with all others of the user when the password changes.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import Literal

import msgspec

from shared.accounts.user import User
from shared.clock import Clock
from shared.console_settings import ConsoleSettings
from shared.errors import StoreError
from shared.model.message import UnknownFormat, check_format
from shared.store.records import ANY, Audited, Change, Records

KIND = "sessions"
_FORMAT = 1
_TRIES = 5
_STEP_MS = 15 * 60_000
"""For so long after the password the second step may come."""
MOST = 50
"""Sessions of one user: each page of sessions, and each change of a password, reads all."""
_TOUCH_MS = 30_000
"""A session that is used is written again after so long, not at each page."""
_encode = msgspec.msgpack.Encoder().encode

Level = Literal["password", "setup", "full"]
"""`password`: the second step is still to come. `setup`: signed in, and must set up a second factor
or a new password first. `full`."""


class Session(msgspec.Struct, frozen=True):
    """As it is stored."""

    id: str
    """What people and the list of sessions call it; not the token."""
    user_id: str
    level: Level
    csrf: str
    """The token of its forms."""
    began_ms: int
    seen_ms: int
    confirmed_ms: int
    """When the password was last given; 0: never."""
    address: str = ""
    agent: str = ""
    """The browser, as it calls itself; cut off."""
    generation: int = 0
    """The user's when it began: it counts only while that is the same."""

    def is_of(self, user: User) -> bool:
        """Whether it is this user's, and did not end with a change of the password or the like."""
        return (self.user_id, self.generation) == (user.id, user.generation)


_decode = msgspec.msgpack.Decoder(Session).decode


def digest_of(token: str) -> bytes:
    """The key of a session's record."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


class Sessions:
    """All sessions."""

    def __init__(self, records: Records, clock: Clock, settings: ConsoleSettings) -> None:
        self._records = records
        self._clock = clock
        self._settings = settings

    def begin(
        self,
        user_id: str,
        level: Level,
        address: str,
        agent: str,
        *,
        confirmed: bool = True,
        generation: int = 0,
    ) -> tuple[str, Session]:
        """A new session: its token, for the cookie, and what is stored."""
        token, session, change = self.begun(
            user_id, level, address, agent, confirmed=confirmed, generation=generation
        )
        self._records.write([change])
        return token, session

    def begun(
        self,
        user_id: str,
        level: Level,
        address: str,
        agent: str,
        *,
        confirmed: bool = True,
        generation: int = 0,
    ) -> tuple[str, Session, Change]:
        """The same, to be written in one step with what it begins for."""
        now = self._clock.now_ms()
        session = Session(
            id=secrets.token_hex(8),
            user_id=user_id,
            level=level,
            csrf=secrets.token_urlsafe(32),
            began_ms=now,
            seen_ms=now,
            confirmed_ms=now if confirmed else 0,
            address=address,
            agent=agent[:200],
            generation=generation,
        )
        token = secrets.token_urlsafe(32)
        return token, session, self._put(digest_of(token), session, None)

    def find(self, token: str, *, used: bool = True) -> Session | None:
        """The session of a cookie, if it has not ended; it is used by that, unless a page only asks
        again by itself."""
        key = digest_of(token)
        packed = self._records.get(KIND, key)
        if packed is None:
            return None
        session = _unpack(packed)
        if session is None:
            return None
        now = self._clock.now_ms()
        if used and now - session.seen_ms >= _TOUCH_MS:
            touched = msgspec.structs.replace(session, seen_ms=now)
            with suppress(StoreError):  # A store that is full, or read-only, still shows pages.
                if self._records.write([self._put(key, touched, packed)]):
                    return touched
        return session

    def renew(self, token: str, level: Level, *, confirmed: bool) -> tuple[str, Session] | None:
        """The same session under a new token, at another level; None: it has ended meanwhile.

        With `confirmed` the password was given just now.
        """
        for _ in range(_TRIES):
            renewed = self.renewed(token, level, confirmed=confirmed)
            if renewed is None or self._records.write(renewed[2]):
                return None if renewed is None else renewed[:2]
        return None

    def renewed(
        self, token: str, level: Level, *, confirmed: bool, generation: int | None = None
    ) -> tuple[str, Session, list[Change]] | None:
        """The same, to be written in one step with what it is renewed for; of another generation of
        the user's sessions, if one is given."""
        key = digest_of(token)
        packed = self._records.get(KIND, key)
        session = None if packed is None else _unpack(packed)
        if packed is None or session is None:
            return None
        now = self._clock.now_ms()
        renewed = msgspec.structs.replace(
            session,
            level=level,
            csrf=secrets.token_urlsafe(32),
            seen_ms=now,
            confirmed_ms=now if confirmed else session.confirmed_ms,
            generation=session.generation if generation is None else generation,
        )
        fresh = secrets.token_urlsafe(32)
        changes = [Change(KIND, key, None, packed), self._put(digest_of(fresh), renewed, None)]
        return fresh, renewed, changes

    def end(self, token: str) -> None:
        """End it: the token counts no more."""
        self._records.write([self.ended(token)])

    def ended(self, token: str) -> Change:
        """The same, to be written in one step with other things."""
        return Change(KIND, digest_of(token), None, ANY)

    def of(self, user_id: str) -> list[Session]:
        """A user's sessions, the one used last first."""
        found = [session for _, session in self._all() if session.user_id == user_id]
        return sorted(found, key=lambda session: -session.seen_ms)

    def live(self, user: User) -> list[Session]:
        """The same, without those of an earlier generation."""
        return [session for session in self.of(user.id) if session.is_of(user)]

    def end_one(self, user_id: str, session_id: str, *audited: Audited) -> bool:
        """End one of a user's sessions by its id; False: there is none."""
        keys = [k for k, each in self._all() if (each.user_id, each.id) == (user_id, session_id)]
        if not keys:
            return False
        return self._records.write([Change(KIND, key, None, ANY) for key in keys], audited)

    def ends(self, user_id: str, *, but: str = "") -> list[Change]:
        """What ends all sessions of a user, but the one with this token: to be written in one step
        with what they end for. Of more than 90 some stay, as of no generation that counts."""
        kept = digest_of(but) if but else b""
        keys = [k for k, each in self._all() if each.user_id == user_id and k != kept]
        return [Change(KIND, key, None, ANY) for key in keys[:90]]

    def crowded(self, user_id: str) -> list[Change]:
        """What ends those of a user's sessions that were not used for longest, so that one more is
        not too many; first of all those that never got further than the password."""
        all_of = self._all()
        mine = [
            (s.level != "password", s.seen_ms, key) for key, s in all_of if s.user_id == user_id
        ]
        return [Change(KIND, key, None, ANY) for *_, key in sorted(mine)[: 1 - MOST][:MOST]]

    def _all(self) -> list[tuple[bytes, Session]]:
        found = ((key, _unpack(packed)) for key, packed in self._records.all(KIND).items())
        return [(key, session) for key, session in found if session is not None]

    def _put(self, key: bytes, session: Session, expected: bytes | None) -> Change:
        idle = session.seen_ms + self._settings.idle_seconds * 1000
        absolute = session.began_ms + self._settings.session_seconds * 1000
        ends = min(idle, absolute)
        if session.level == "password":
            ends = min(ends, session.began_ms + _STEP_MS)
        return Change(KIND, key, bytes((_FORMAT,)) + _encode(session), expected, ends)


def _unpack(packed: bytes) -> Session | None:
    """None where another release has made it: then one signs in again."""
    try:
        check_format("session", packed, _FORMAT)
        return _decode(packed[1:])
    except (UnknownFormat, msgspec.MsgspecError):
        return None
