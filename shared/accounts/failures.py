"""Failed tries in the audit trail: as many of an hour as leave it room for what else it is for.

Whoever tries logins from many addresses would else push out what was really done. All are counted
by the throttle, and logged.
"""

from __future__ import annotations

import structlog

from shared.accounts.actor import Actor, Client, actor_of
from shared.accounts.user import User
from shared.clock import Clock
from shared.store.records import Change, Records

KIND = "counts"
MOST_AN_HOUR = 500
_HOUR_MS = 3600_000
_TRIES = 3

_log = structlog.get_logger(__name__)


class Failures:
    """Notes them."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def note(self, act: str, user: User | None, client: Client) -> None:
        """One failure; of a login that nobody has without the login, which may be a password."""
        actor = actor_of(user, client) if user else Actor("system", "", client)
        _log.info("sign_in_failed", act=act, user=actor.who, client=client.address)
        hour = self._clock.now_ms() // _HOUR_MS
        key = f"{act}:{hour}".encode()
        for _ in range(_TRIES):
            found = self._records.get(KIND, key)
            count = int(found) if found is not None and found.isdigit() else 0
            if count >= MOST_AN_HOUR:
                return
            more = Change(KIND, key, str(count + 1).encode(), found, (hour + 2) * _HOUR_MS)
            if self._records.write([more], [actor.audited(act)]):
                return
