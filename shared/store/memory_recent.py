"""Recent messages and samples in memory: the rules of `lua/accept.lua` and `lua/pump.lua`."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING

from shared.ids import accepted_ms
from shared.model.leg import Leg, leg_id
from shared.model.message import CLASSES, Head, MessageClass
from shared.model.status import Status
from shared.store.attempts import split_attempts
from shared.store.recent import MOST_SCANNED, Entry, RecentPage, Sought
from shared.store.samples import MINUTE_MS, MOST_SAMPLES, Figures, Sample
from shared.store.sought import Seeker
from shared.store.unreadable import readable_head

if TYPE_CHECKING:
    from shared.store.memory_state import State

TRIMMED_A_RUN = 100


class RecentIds:
    """Ids in the order of acceptance; the first one's position is how many were trimmed."""

    def __init__(self) -> None:
        self.ids: deque[bytes] = deque()
        self.trimmed = 0

    def trim(self, heads: dict[bytes, bytes], most_gone: int, kept: int) -> None:
        """Forget the oldest: those whose message is gone, and what is too many."""
        while most_gone and self.ids and self.ids[0] not in heads:
            self._drop()
            most_gone -= 1
        while len(self.ids) > kept:
            self._drop()

    def _drop(self) -> None:
        self.ids.popleft()
        self.trimmed += 1


class MemoryRecent:
    """`shared.store.recent.Recent` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def recent(self, before: int | None, most: int) -> RecentPage:
        """See the port."""
        return self.search(Sought(), before, most)

    def search(
        self, sought: Sought, before: int | None, most: int, scan: int = MOST_SCANNED
    ) -> RecentPage:
        """See the port."""
        seeker, found = Seeker(sought), list[Entry]()
        with self._state.lock:
            listed = self._state.recent
            position, floor = self._bounds(seeker, before)
            looked_at: int | None = None
            while position > floor and len(found) < most and scan > 0:
                message_id = listed.ids[position - 1 - listed.trimmed]
                position, scan, looked_at = position - 1, scan - 1, accepted_ms(message_id)
                entry = self._entry(position, message_id, seeker)
                found += [entry] if entry is not None else []
        return RecentPage(tuple(found), position if position > floor else None, looked_at)

    def _bounds(self, seeker: Seeker, before: int | None) -> tuple[int, int]:
        """The position before which to look, and the first that may be looked at."""
        listed = self._state.recent
        last = len(listed.ids)
        if before is not None:
            last = max(0, min(last, before - listed.trimmed))
        if seeker.latest_ms is not None:
            last = bisect_right(listed.ids, seeker.latest_ms, 0, last, key=accepted_ms)
        floor = 0
        if seeker.earliest_ms is not None:
            floor = bisect_right(listed.ids, seeker.earliest_ms - 1, 0, last, key=accepted_ms)
        return listed.trimmed + last, listed.trimmed + floor

    def _entry(self, position: int, message_id: bytes, seeker: Seeker) -> Entry | None:
        head = readable_head(self._state.heads.get(message_id))
        first = self._state.legs.get(leg_id(message_id, 0))
        if head is None or first is None or not seeker.wants(head):
            return None
        ids = (leg_id(message_id, number) for number in range(first.legs))
        statuses = by_recipient(head, [self._state.legs[each] for each in ids])
        if not seeker.wants_statuses(statuses):
            return None
        return Entry(position, message_id, head, statuses)


def by_recipient(head: Head, legs: list[Leg]) -> tuple[Status, ...]:
    """The status of each recipient; of one that no leg has, dead."""
    found = {at: each for leg in legs for at, each in zip(leg.indices(), leg.statuses, strict=True)}
    return tuple(found.get(at, Status.DEAD) for at in range(len(head.recipients)))


class SampleList:
    """The samples of the last day."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._minute: int | None = None
        self.kept: deque[Sample] = deque(maxlen=MOST_SAMPLES)

    def take(self) -> None:
        """Note the figures, once a minute."""
        now = self._state.now()
        if self._minute != now // MINUTE_MS:
            self._minute = now // MINUTE_MS
            one, two, three = (_figures(self._state, name) for name in CLASSES)
            self.kept.append(Sample(now, (one, two, three)))


class MemorySamples:
    """`shared.store.samples.Samples` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def samples(self, most: int = MOST_SAMPLES) -> list[Sample]:
        """See the port."""
        with self._state.lock:
            return list(self._state.samples.kept)[-most:] if most > 0 else []


def _figures(state: State, name: MessageClass) -> Figures:
    attempts, _ = split_attempts(state.counters)
    deferrals = sum(n for (of, letter, _), n in attempts.items() if (of, letter) == (name, "f"))
    status = {each: state.by_status.get((name, each), 0) for each in Status}
    return Figures(
        accepted=state.accepted[name],
        delivered=status[Status.DELIVERED],
        bounced=status[Status.BOUNCED],
        deferrals=deferrals,
        expired=status[Status.EXPIRED],
        suppressed=status[Status.SUPPRESSED],
        cancelled=status[Status.CANCELLED],
        uncertain=status[Status.UNCERTAIN],
        dead=status[Status.DEAD],
        ready=state.ready_legs[name],
        deferred=len(state.deferred[name]),
        in_flight=len(state.leases[name]),
        oldest_ready_ms=oldest_ready(state, name),
    )


def oldest_ready(state: State, name: MessageClass) -> int:
    """The age in ms of the oldest head among the first 100 ready queues; -1: none is ready."""
    heads = [state.ready[name, queue][0] for queue in list(state.ring[name])[:100]]
    return max((state.now() - accepted_ms(each) for each in heads), default=-1)
