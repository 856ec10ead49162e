"""The blocking half of the in-memory spool: `shared.store.ports.Spool` and `Keys`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.compression import pack_content
from shared.hops import mx_hop
from shared.model.leg import Leg, LegState, counted, leg_id
from shared.model.message import CLASSES, Head, UnknownFormat, pack_head, unpack_head
from shared.model.status import OPEN, Status
from shared.store.attempts import split_attempts
from shared.store.events import Event
from shared.store.figures import Depth, Health
from shared.store.keys import ApiKey
from shared.store.memory_lines import kept
from shared.store.memory_recent import oldest_ready
from shared.store.memory_state import State
from shared.store.memory_suppressions import standing
from shared.store.outcomes import OTHER, outcome_counter, outcome_field
from shared.store.ports import Accepted, AcceptKind, Changed, ChangeKind, Stored, Submission
from shared.store.quotas import WINDOWS, Quota, Use, Window, window_around
from shared.store.suppressions import AcceptedPayload, check_of
from shared.store.unreadable import shown

IDEMPOTENCY_MS = 24 * 3_600_000
_UNTRIED = OPEN | {Status.SUPPRESSED}


class MemorySpool:
    """`shared.store.ports.Spool` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
        """See the port."""
        with self._state.lock:
            answers: list[Accepted | Exception] = [self._accept(each) for each in submissions]
            self._state.top_up()
        return answers

    def _accept(self, submission: Submission) -> Accepted:
        state, message, key = self._state, submission.message, submission.idempotency
        scheduled = any(leg.state is LegState.WAITING for leg in submission.legs)
        known = None if key is None else state.idempotency.get(key.key)
        if key is not None and known is not None and known[2] > state.now():
            if known[0].fingerprint != key.fingerprint:
                return Accepted(AcceptKind.MISMATCH, b"")
            return msgspec.structs.replace(known[1], kind=AcceptKind.REPLAYED)
        full = self._spend(submission.quota, message.head)
        if full is not None:
            return Accepted(AcceptKind.OVER_QUOTA, b"", full=full)
        suppressed = standing(state, check_of(message.head))
        indices = tuple(sorted(suppressed))
        answer = Accepted(AcceptKind.ACCEPTED, message.id, scheduled, suppressed=indices)
        if key is not None:
            state.idempotency[key.key] = (key, answer, state.now() + IDEMPOTENCY_MS)
        content, size = pack_content(message.content)
        head = msgspec.structs.replace(message.head, content_bytes=size)
        state.heads[message.id] = pack_head(head)
        state.contents[message.id] = content
        state.recent.ids.append(message.id)
        if len(submission.legs) > 1:
            state.open_legs[message.id] = len(submission.legs)
        payload = msgspec.msgpack.encode(AcceptedPayload(indices)) if indices else b""
        state.event("accepted", message.id, payload)
        if indices:
            counter = outcome_counter(message.head.application, OTHER, "suppressed")
            field = outcome_field(message.head.message_class, counter)
            state.outcomes.score(field, len(indices))
        for number, leg in enumerate(submission.legs):
            timed = message.head.deliver_by_ms is not None
            self._store(leg_id(message.id, number), _without(leg, indices), timed=timed)
        return answer

    def _spend(self, quota: Quota | None, head: Head) -> Use | None:
        """Count a message; or count nothing, and give the window that is full."""
        if quota is None:
            return None
        uses = [self._use(window, head.application) for window in quota.limited()]
        for use in reversed(uses):
            if use.used + len(head.recipients) > quota.limit(use.window):
                return use
        for use in uses:
            start, _ = window_around(use.window, self._state.now())
            place = (use.window, head.application)
            self._state.quotas[place] = (start, use.used + len(head.recipients))
        return None

    def _use(self, window: Window, application: str) -> Use:
        now = self._state.now()
        start, end = window_around(window, now)
        began, used = self._state.quotas.get((window, application), (start, 0))
        return Use(window, used if began == start else 0, end, end - now)

    def uses(self, application: str) -> tuple[Use, ...]:
        """See the port."""
        with self._state.lock:
            return tuple(self._use(window, application) for window in WINDOWS)

    def _store(self, identifier: bytes, leg: Leg, *, timed: bool) -> None:
        state = self._state
        state.legs[identifier] = leg
        state.accepted[leg.message_class] += len(leg.statuses)
        for status in leg.statuses:
            state.count(leg.message_class, status, 1)
        if OPEN.isdisjoint(leg.statuses):
            state.legs[identifier] = state.place(identifier, leg)
            return
        if timed:
            state.expiry[identifier] = leg.give_up_ms
        if leg.state is LegState.READY:
            state.push_ready(identifier, leg)
        else:
            state.deferred[leg.message_class][identifier] = leg.due_ms

    def _legs(self, message_id: bytes) -> list[tuple[bytes, Leg]]:
        first = self._state.legs.get(leg_id(message_id, 0))
        if first is None:
            return []
        ids = [leg_id(message_id, number) for number in range(first.legs)]
        return [(each, self._state.legs[each]) for each in ids if each in self._state.legs]

    def get(self, message_id: bytes) -> Stored | None:
        """See the port."""
        with self._state.lock:
            pairs = self._legs(message_id)
            if not pairs:
                return None
            state = self._state
            packed = state.heads.get(message_id)
            head, legs = shown(message_id, packed, [leg for _, leg in pairs])
            ready = {leg.hop for leg in legs if leg.state is LegState.READY}
            pauses = {hop: state.pause(hop) for hop in ready}
            return Stored(
                message_id,
                head,
                tuple(counted(leg) for leg in legs),
                {hop: pause for hop, pause in pauses.items() if pause is not None},
                {
                    leg.hop: found
                    for leg in legs
                    if leg.state is LegState.READY and pauses[leg.hop] is None
                    if (found := kept(state, leg)) is not None
                },
            )

    def content(self, message_id: bytes) -> bytes | None:
        """See the port."""
        with self._state.lock:
            return self._state.contents.get(message_id)

    def cancel(self, message_id: bytes) -> Changed:
        """See the port."""
        state = self._state
        with state.lock:
            legs = self._legs(message_id)
            if not legs:
                return Changed(ChangeKind.NOT_FOUND)
            kind = ChangeKind.TOO_LATE
            if any(leg.state is LegState.LEASED for _, leg in legs):
                kind = ChangeKind.IN_FLIGHT
            for identifier, leg in legs:
                if leg.state in (LegState.READY, LegState.WAITING):
                    kind = ChangeKind.CHANGED
                    state.withdraw(identifier, leg)
                    changed = state.restate_open(leg, Status.CANCELLED)
                    state.legs[identifier] = state.place(identifier, changed)
                    state.event("cancelled", identifier)
            return Changed(kind, self.get(message_id))

    def reschedule(self, message_id: bytes, send_at_ms: int, give_up_ms: int) -> Changed:
        """See the port."""
        state = self._state
        with state.lock:
            legs = self._legs(message_id)
            if not legs:
                return Changed(ChangeKind.NOT_FOUND)
            try:
                head = unpack_head(state.heads.get(message_id, b""))
            except UnknownFormat:
                return Changed(ChangeKind.TOO_LATE, self.get(message_id))
            for _, leg in legs:
                if leg.state is LegState.LEASED:
                    return Changed(ChangeKind.IN_FLIGHT, self.get(message_id))
                if leg.attempts or leg.history or not _UNTRIED.issuperset(leg.statuses):
                    return Changed(ChangeKind.TOO_LATE, self.get(message_id))
            legs = [each for each in legs if each[1].state is not LegState.FINAL]
            if any(leg.state not in (LegState.READY, LegState.WAITING) for _, leg in legs):
                return Changed(ChangeKind.TOO_LATE, self.get(message_id))
            if not legs:  # Everybody is suppressed.
                return Changed(ChangeKind.TOO_LATE, self.get(message_id))
            state.heads[message_id] = pack_head(
                msgspec.structs.replace(head, send_at_ms=send_at_ms, give_up_ms=give_up_ms)
            )
            for identifier, leg in legs:
                self._move(identifier, leg, send_at_ms, give_up_ms)
            state.event("rescheduled", message_id)
            state.top_up()
            return Changed(ChangeKind.CHANGED, self.get(message_id))

    def _move(self, identifier: bytes, leg: Leg, send_at_ms: int, give_up_ms: int) -> None:
        state = self._state
        state.withdraw(identifier, leg)
        later = send_at_ms > state.now()
        leg = state.restate_open(leg, Status.SCHEDULED if later else Status.QUEUED)
        leg = msgspec.structs.replace(
            leg,
            give_up_ms=give_up_ms,
            state=LegState.WAITING if later else LegState.READY,
            due_ms=send_at_ms if later else 0,
        )
        state.legs[identifier] = leg
        if identifier in state.expiry:
            state.expiry[identifier] = give_up_ms
        if later:
            state.deferred[leg.message_class][identifier] = send_at_ms
        else:
            state.push_ready(identifier, leg)

    def events(self, after: str = "0", limit: int = 1000) -> list[Event]:
        """See the port."""
        with self._state.lock:
            last = _position(after)
            found = [each for each in self._state.events if _position(each.id) > last]
            return found[:limit]

    def depth(self) -> Depth:
        """See the port."""
        state = self._state
        with state.lock:
            attempts, counters = split_attempts(state.counters)
            return Depth(
                attempts=attempts,
                accepted={str(name): count for name, count in state.accepted.items()},
                by_status={
                    name: {
                        status.value: state.by_status.get((name, status), 0) for status in Status
                    }
                    for name in CLASSES
                },
                ready_legs={str(name): count for name, count in state.ready_legs.items()},
                counters={name: count for name, count in counters.items() if count},
                oldest_ready_ms={
                    name: age for name in CLASSES if (age := oldest_ready(state, name)) >= 0
                },
                deferred_legs={name: len(state.deferred[name]) for name in CLASSES},
                leased_legs={name: len(state.leases[name]) for name in CLASSES},
                live_workers=state.live_workers(),
                events_length=len(state.events),
                dead_legs=len(state.dead),
                held_legs=len(state.held),
                suspended_hops=sum(1 for hop in state.suspended if state.suspension(hop)),
                troubled_hops=sum(mx_hop(hop) is None for hop in state.trouble),
                finished_messages=len(state.finished),
            )

    def health(self) -> Health:
        """Always well."""
        return Health(())


class MemoryKeys:
    """`shared.store.ports.Keys` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, int] = {}

    def add(self, key: ApiKey) -> None:
        """See the port."""
        self._keys[key.id] = key

    def find(self, key_id: str) -> ApiKey | None:
        """See the port."""
        return self._keys.get(key_id)

    def all(self) -> list[ApiKey]:
        """See the port."""
        return sorted(self._keys.values(), key=lambda key: (key.created_ms, key.id))

    def revoke(self, key_id: str) -> bool:
        """See the port."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        if key.revoked_ms is None:
            self._keys[key_id] = msgspec.structs.replace(key, revoked_ms=self._state.now())
        return True

    def used(self, key_id: str, at_ms: int) -> None:
        """See the port."""
        self._used[key_id] = at_ms

    def last_used(self) -> dict[str, int]:
        """See the port."""
        return dict(self._used)


def _without(leg: Leg, suppressed: tuple[int, ...]) -> Leg:
    """A leg that does not send to these, by index in `Head.recipients`."""
    if not suppressed:
        return leg
    pairs = zip(leg.indices(), leg.statuses, strict=True)
    statuses = tuple(Status.SUPPRESSED if at in suppressed else status for at, status in pairs)
    return msgspec.structs.replace(leg, statuses=statuses)


def _position(identifier: str) -> tuple[int, int]:
    ms, _, number = identifier.partition("-")
    return int(ms), int(number or 0)
