"""What came back, in memory: `shared.store.returns.Returns`, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.model.leg import Leg, LegState, leg_id
from shared.model.status import OPEN, Status
from shared.store.kept import bounded, pack_about
from shared.store.memory_early import HAD_ITS_COPY
from shared.store.memory_state import State
from shared.store.memory_suppressions import is_listed, put
from shared.store.news import WEEK_MS, digest_of, field_of
from shared.store.outcomes import Outcomes, added
from shared.store.returns import MOST_KEPT_BYTES, Came, News, Returned

DAY_MS = 86_400_000


class MemoryReturns:
    """`shared.store.returns.Returns` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._told: dict[tuple[int, bytes], None] = {}
        """By week and digest."""
        self._kept: dict[str, Returned] = {}

    def news(self, news: News) -> Came:
        """See the port."""
        state = self._state
        with state.lock:
            if self._was_told(news) and (news.kind != "unsubscribed" or self._listed(news)):
                return self._again(news)
            self._told[state.now() // WEEK_MS, digest_of(news)] = None
            for entry in news.suppressions:
                put(state, entry)
            found = self._leg_of(news)
            changed = False
            if found is not None and news.kind == "bounced":
                changed = self._bounced(news, *found)
            state.outcomes.score(field_of(news))
            state.event(news.kind, news.message_id if found is None else found[0], news.event)
            state.top_up()
            return Came.CHANGED if changed else Came.NOTED

    def _was_told(self, news: News) -> bool:
        digest, week = digest_of(news), self._state.now() // WEEK_MS
        back = -(-self._state.settings.feedback.valid_days * DAY_MS // WEEK_MS)
        return any((each, digest) in self._told for each in range(week - back, week + 1))

    def _listed(self, news: News) -> bool:
        return all(is_listed(self._state, each) for each in news.suppressions)

    def _leg_of(self, news: News) -> tuple[bytes, Leg, int] | None:
        """The leg that has the recipient, and his place in it."""
        number, legs = 0, 1
        while news.message_id and news.recipient is not None and number < legs:
            identifier = leg_id(news.message_id, number)
            leg = self._state.legs.get(identifier)
            if leg is not None:
                legs = max(legs, leg.legs)
                if news.recipient in leg.indices():
                    return identifier, leg, leg.indices().index(news.recipient)
            number += 1
        return None

    def _again(self, news: News) -> Came:
        """The same report, or that of another copy of the same mail, which has come meanwhile."""
        found = self._leg_of(news) if news.kind == "bounced" else None
        if found is None:
            return Came.REPEATED
        identifier, leg, at = found
        waits = leg.state is not LegState.FINAL and leg.statuses[at] in OPEN
        waits = waits and not self._state.early.is_kept(identifier, leg, at)
        if leg.statuses[at] not in HAD_ITS_COPY and not waits:
            return Came.REPEATED
        if not self._bounced(news, identifier, leg, at):
            return Came.REPEATED
        self._state.event(news.kind, identifier, news.event)
        self._state.top_up()
        return Came.CHANGED

    def _bounced(self, news: News, identifier: bytes, leg: Leg, at: int) -> bool:
        state = self._state
        after = state.early.bounce(leg, at)
        changed = after.statuses != leg.statuses
        if news.attempt is not None:
            after = state.remember(after, news.attempt)
        if after.state is not LegState.FINAL:
            state.early.keep(identifier, after.fence, at, news.attempt)
        if after.state is LegState.HELD and Status.UNCERTAIN not in after.statuses:
            after = state.place(identifier, state.withdraw(identifier, after))
        state.legs[identifier] = after
        return changed

    def keep(self, mail: Returned, most: int) -> None:
        """See the port."""
        with self._state.lock:
            self._kept.setdefault(mail.id, bounded(mail))
            while len(self._kept) > most or self._kept_bytes() > MOST_KEPT_BYTES:
                del self._kept[next(iter(self._kept))]

    def _kept_bytes(self) -> int:
        return sum(len(pack_about(each)) + len(each.content) for each in self._kept.values())

    def kept(self, limit: int) -> Sequence[Returned]:
        """See the port."""
        with self._state.lock:
            found = list(reversed(self._kept.values()))[:limit]
        return [msgspec.structs.replace(each, content=b"") for each in found]

    def kept_count(self) -> int:
        """See the port."""
        return len(self._kept)

    def kept_one(self, identifier: str) -> Returned | None:
        """See the port."""
        return self._kept.get(identifier)

    def drop_kept(self, identifier: str | None) -> int:
        """See the port."""
        with self._state.lock:
            before = len(self._kept)
            if identifier is None:
                self._kept.clear()
            self._kept.pop(identifier or "", None)
            return before - len(self._kept)

    def outcomes(self, days: int) -> Outcomes:
        """See the port."""
        with self._state.lock:
            return added(self._state.outcomes.of_days(days))
