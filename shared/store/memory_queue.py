"""The asynchronous half of the in-memory spool: `shared.store.ports.Queue`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shared.hops import DestinationLimit, PoolMembers, limit_keys, member_of, queue_of, shared_part
from shared.model.leg import Attempt, Leg, LegFlag, LegState, leg_id, message_of, unpack_history
from shared.model.message import MessageClass
from shared.model.status import ASIDE, OPEN, Status
from shared.model.suppression import Suppression
from shared.store.limits import PACE_MS
from shared.store.memory_claim import ClaimRun
from shared.store.memory_pump import PumpRun
from shared.store.memory_state import State, resting
from shared.store.memory_suppressions import put, standing
from shared.store.operations import Refusal
from shared.store.outcomes import MARK, outcome_field
from shared.store.ports import Claim, Pause, Pumped, Settled, Settlement, Verb
from shared.store.suppressions import Started, Starting
from shared.store.unreadable import sort_out

_replace = msgspec.structs.replace

_OWN_RELEASES = (LegState.LEASED, LegState.READY)
_OWN_SETTLES = (*_OWN_RELEASES, LegState.HELD)
_KEEPS = {LegState.HELD: frozenset({Status.UNCERTAIN}), LegState.DEAD: frozenset({Status.DEAD})}
"""The statuses for which a leg that is set aside stays so."""


class MemoryQueue:
    """`shared.store.ports.Queue` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lease_ms = int(state.settings.worker.lease_seconds * 1000)

    async def claim(
        self,
        message_class: MessageClass,
        *,
        limit: int,
        quantum: int,
        tickets: Sequence[str] = (),
    ) -> Claim:
        """See the port."""
        state = self._state
        with state.lock:
            for ticket in tickets:
                state.tickets[message_class].pop(ticket, None)
            run = ClaimRun(state, message_class, limit, quantum, self._lease_ms)
            run.go()
            more = bool(state.ring[message_class])
            wakes = state.wake[message_class].values()
            again_ms = max(1, min(wakes) - state.now()) if wakes else None
            found = sort_out(run.legs, state.now())
            for each in (*found.damaged, *found.newer):
                self._settle(each)
            counts = (len(found.damaged), len(found.newer))
            return Claim(tuple(found.legs), more, run.alone, *counts, again_ms)

    def _held(self, identifier: bytes, fence: int) -> Leg | None:
        """The leg, if this claim of it still stands."""
        leg = self._state.legs.get(identifier)
        if leg is None or leg.fence != fence or leg.flags & LegFlag.LATE_DELIVERY:
            return None
        return leg

    async def start(self, legs: Sequence[Starting]) -> list[Started]:
        """See the port."""
        with self._state.lock:
            return [self._start(each) for each in legs]

    def _start(self, given: Starting) -> Started:
        leg = self._held(given.leg_id, given.fence)
        if leg is None or leg.state is not LegState.LEASED:
            return Started(may_go=False)
        if not self._state.may_start(given.leg_id, leg):
            return Started(may_go=False)
        self._state.legs[given.leg_id] = _replace(leg, flags=leg.flags | LegFlag.STARTED)
        return Started(may_go=True, suppressed=standing(self._state, given.check))

    async def suppress(self, entries: Sequence[Suppression]) -> list[bool]:
        """See the port."""
        with self._state.lock:
            return [put(self._state, each) for each in entries]

    async def dot(
        self, leg_id: bytes, fence: int, statuses: tuple[Status, ...], attempt: Attempt
    ) -> bool:
        """See the port."""
        state = self._state
        with state.lock:
            leg = self._held(leg_id, fence)
            if leg is None or leg.state is not LegState.LEASED:
                return False
            leg = state.remember(state.restate(leg, statuses), attempt)
            state.legs[leg_id] = _replace(
                leg, flags=leg.flags | LegFlag.STARTED | LegFlag.DOT_IMMINENT
            )
            return True

    async def renew(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """See the port."""
        answers = []
        with self._state.lock:
            for identifier, fence in legs:
                leg = self._held(identifier, fence)
                held = leg is not None and leg.state in (LegState.LEASED, LegState.READY)
                if leg is not None and held:
                    self._renew(identifier, leg)
                answers.append(held)
        return answers

    def _renew(self, identifier: bytes, leg: Leg) -> None:
        state = self._state
        if leg.state is LegState.READY:
            state.ready_legs[leg.message_class] -= 1
            state.fly(leg, 1)
        state.legs[identifier] = _replace(leg, state=LegState.LEASED)
        state.leases[leg.message_class][identifier] = state.now() + self._lease_ms

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """See the port."""
        with self._state.lock:
            answers = [self._settle(each) for each in settlements]
            self._state.top_up()
        return answers

    def _settle(self, given: Settlement) -> Settled:
        leg = self._state.legs.get(given.leg_id)
        settles = given.verb is Verb.SETTLE
        if leg is None or (settles and len(given.statuses) != len(leg.statuses)):
            return Settled.REFUSED  # It is gone, or has parted since.
        states = _OWN_SETTLES if settles else _OWN_RELEASES
        own = leg.fence == given.fence
        if not own or leg.state not in states:
            return self._overtaken(given, leg, own)
        late = leg.state is not LegState.LEASED
        if settles and late and Status.DELIVERED in given.statuses:
            self._state.bump("late_delivered")
        (self._apply if settles else self._release)(given, leg)
        return Settled.LATE if late else Settled.DONE

    def _apply(self, given: Settlement, leg: Leg) -> None:
        state, via = self._state, member_of(leg.hop)
        leg = state.withdraw(given.leg_id, leg)
        allowed = OPEN | {Status.UNCERTAIN} if leg.state is LegState.HELD else OPEN
        leg = state.heed(state.restate(leg, given.statuses, allowed))
        history, earlier = unpack_history(given.history) if given.history else ((), b"")
        leg = _replace(leg, history=history, earlier=earlier)
        leg = state.early.catch_up(given.leg_id, leg, forgotten=True)
        leg = _replace(
            leg,
            fence=leg.fence + 1,
            crashes=0,
            flags=resting(leg),
            attempts=given.attempts,
            hop=via if given.pinned else leg.hop,
        )
        state.legs[given.leg_id] = state.place(given.leg_id, leg, given.retry_after_ms)
        if given.event:
            state.event("attempt", given.leg_id, given.event)
        for name in given.counted:
            if name.startswith(MARK):
                state.outcomes.score(outcome_field(leg.message_class, name))
            else:
                state.bump(name)
        if given.answered:
            self._answered(leg, via)
        self._refused(via, given)

    def _answered(self, leg: Leg, via: str) -> None:
        """The next hop has answered a transaction: its trouble is over."""
        state = self._state
        state.answered.append((state.now(), leg.message_class, via))
        trouble = state.trouble.get(via)
        if trouble is None:
            return
        if (trouble.until_ms or 0) > state.now() and state.limits.is_slowed(shared_part(via)):
            return  # What was under way is no sign that it takes mail again: its probe is.
        del state.trouble[via]
        state.probes.pop(via, None)
        state.recovering[via] = (state.now(), trouble.strikes)
        if not state.still_until(via):
            state.stir(via)

    def _refused(self, via: str, given: Settlement) -> None:
        if given.refusal:
            self._state.refusals[via] = Refusal(self._state.now(), given.refusal)

    def _release(self, given: Settlement, leg: Leg) -> None:
        state = self._state
        via = leg.hop
        leg = state.withdraw(given.leg_id, leg)
        self._refused(member_of(via), given)
        for key in limit_keys(via):
            state.limits.give_back(key, leg.due_ms)
        leg = state.heed(leg)
        if given.history:
            history, earlier = unpack_history(given.history)
            leg = _replace(leg, history=history, earlier=earlier)
        leg = state.early.catch_up(given.leg_id, leg, forgotten=bool(given.history))
        leg = _replace(leg, fence=leg.fence + 1, flags=resting(leg))
        if not any(status in OPEN for status in leg.statuses):
            leg = state.place(given.leg_id, leg)
        elif given.retry_after_ms > 0:
            leg = state.defer(given.leg_id, leg, state.due_in(leg, given.retry_after_ms))
        else:
            leg = _replace(leg, state=LegState.READY, due_ms=0)
            state.push_ready(given.leg_id, leg, at_head=True)
        state.legs[given.leg_id] = leg

    def _overtaken(self, given: Settlement, leg: Leg, own: bool) -> Settled:
        """An outcome of a claim that is over: `lua/settle.lua` says what it means."""
        state = self._state
        counts = {Status.DELIVERED}
        if own and leg.state is LegState.DEAD:
            counts.add(Status.BOUNCED)
        if given.verb is not Verb.SETTLE or not counts.intersection(given.statuses):
            return Settled.REFUSED
        pairs = zip(leg.statuses, given.statuses, strict=True)
        wanted = tuple(new if new in counts else old for old, new in pairs)
        if leg.state in (LegState.LEASED, LegState.FINAL):
            self._evidence(given, leg, wanted)
            return Settled.REFUSED
        changed = state.restate(leg, wanted, OPEN | ASIDE)
        if changed.statuses == leg.statuses:
            return Settled.REFUSED
        changed = state.early.catch_up(given.leg_id, changed, since=given.fence)
        if not _KEEPS.get(leg.state, OPEN).intersection(changed.statuses):
            state.withdraw(given.leg_id, leg)
            changed = state.place(given.leg_id, changed)
        if given.event:
            attempt = msgspec.msgpack.decode(given.event, type=Attempt)
            changed = state.remember(changed, attempt)
            state.event("attempt", given.leg_id, given.event)
        state.legs[given.leg_id] = changed
        if Status.DELIVERED in given.statuses:
            state.bump("late_delivered")
        return Settled.LATE

    def _evidence(self, given: Settlement, leg: Leg, after: tuple[Status, ...]) -> None:
        """An older claim reports a delivery, and somebody else holds the leg, or it is final."""
        leased = leg.state is LegState.LEASED
        if not OPEN.intersection(leg.statuses) if leased else after == leg.statuses:
            return
        if leased and not OPEN.intersection(after):
            flags = leg.flags | LegFlag.LATE_DELIVERY
            self._state.legs[given.leg_id] = _replace(leg, flags=flags)
            self._state.early.pass_on(given.leg_id, leg, given.fence)
        self._state.bump("late_refused")
        self._state.event("late", given.leg_id, given.event)

    async def split(
        self,
        leg_id: bytes,
        fence: int,
        legs: Sequence[Leg],
        limits: Mapping[str, DestinationLimit | None] | None = None,
    ) -> bool:
        """See the port."""
        with self._state.lock:
            leg = self._state.legs.get(leg_id)
            if leg is None or leg.state is not LegState.LEASED or leg.fence != fence:
                return False
            for hop, limit in (limits or {}).items():
                self._state.limits.configure(hop, limit)
            self._split(leg_id, leg, legs)
            self._state.top_up()
        return True

    def _split(self, identifier: bytes, leg: Leg, legs: Sequence[Leg]) -> None:
        state, message = self._state, message_of(identifier)
        zero = leg_id(message, 0)
        total = state.legs[zero].legs
        for key in limit_keys(leg.hop):
            state.limits.give_back(key, leg.due_ms)  # Nothing was sent.
        leg = state.withdraw(identifier, leg)
        base = _replace(
            leg, fence=leg.fence + 1, flags=resting(leg), state=LegState.READY, due_ms=0
        )
        if len(legs) > 1:
            state.open_legs[message] = state.open_legs.get(message, 1) + len(legs) - 1
            base = _replace(base, legs=total + len(legs) - 1)
            state.legs[zero] = _replace(state.legs[zero], legs=base.legs)
        # A bounce that came back meanwhile counts, not what the worker knew.
        known = dict(zip(leg.indices(), leg.statuses, strict=True))
        for index, new in enumerate(legs):
            target = identifier if index == 0 else leg_id(message, total + index - 1)
            hop = queue_of(new.hop)
            pairs = zip(new.indices(), new.statuses, strict=True)
            statuses = tuple(known.get(each, status) for each, status in pairs)
            part = _replace(base, hop=hop, statuses=statuses, recipients=new.recipients)
            state.legs[target] = part
            state.push_ready(target, part)
        state.event("rerouted", identifier)

    async def content(self, message_id: bytes) -> bytes | None:
        """See the port."""
        return self._state.contents.get(message_id)

    async def pump(self, worker_id: str) -> Pumped:
        """See the port."""
        with self._state.lock:
            return PumpRun(self._state, self._lease_ms).go(worker_id)

    async def limits(self, limits: Mapping[str, DestinationLimit | None]) -> None:
        """See the port."""
        with self._state.lock:
            for key, limit in limits.items():
                if self._state.limits.configure(key, limit):
                    self._state.ask_again(key)

    async def limit(self, key: str, limit: DestinationLimit | None) -> None:
        """See the port."""
        await self.limits({key: limit})

    async def weights(self, weights: Mapping[str, int]) -> None:
        """See the port."""
        self._state.weights = {name: weight for name, weight in weights.items() if weight != 1}

    async def pools(self, pools: Mapping[str, PoolMembers]) -> None:
        """See the port."""
        self._state.pools = dict(pools)
        for gone in self._state.served.keys() - pools.keys():
            del self._state.served[gone]

    def _has_answered(self, hop: str) -> bool:
        """In this minute or the one before."""
        minute = self._state.now() // 60_000
        answered = self._state.answered
        return any(of == hop and at // 60_000 >= minute - 1 for at, _, of in answered)

    def _slow_down(self, hop: str, till_ms: int, steps: int) -> None:
        self._state.limits.slow_down(shared_part(hop), till_ms, self._pace(hop), steps)
        self._state.bump("slowed_down", steps)

    def _pace(self, hop: str) -> float:
        """The milliseconds from leg to leg of what it has answered in this minute and the one
        before, each from its first answer on; 0: it has answered nothing."""
        now = self._state.now()
        minute, count, took = now // 60_000, 0, 0
        for each in (minute - 1, minute):
            times = [at for at, _, of in self._state.answered if of == hop and at // 60_000 == each]
            if times:
                count += len(times)
                took += (now if each == minute else minute * 60_000) - min(times)
        return min(PACE_MS, max(took, 1000) / count) if count else 0.0

    async def trouble(
        self,
        hop: str,
        reason: str,
        first_ms: int,
        longest_ms: int,
        *,
        own_commands: bool = False,
        firm: bool = False,
        slow: bool = False,
    ) -> int:
        """See the port."""
        state = self._state
        with state.lock:
            if own_commands and self._has_answered(hop):
                state.bump("relay_troubles")
                return 0
            if not first_ms:
                if slow and not state.limits.was_slowed(shared_part(hop)):
                    self._slow_down(hop, state.now(), 1)
                return 0
            _, strikes = state.recovery(hop) or (0, 0)
            before = state.trouble.get(hop, Pause("trouble", 0, "", strikes, state.now()))
            if (before.until_ms or 0) > state.now():
                return 0
            wait: int = min(longest_ms, first_ms * 2**before.strikes)
            state.trouble[hop] = Pause(
                "trouble", state.now() + wait, reason, before.strikes + 1, before.since_ms
            )
            state.probes.pop(hop, None)
            state.recovering.pop(hop, None)
            if firm or slow:
                self._slow_down(hop, state.now() + wait, int(slow))
            state.postpone(hop)
            state.bump("relay_troubles")
            return wait

    async def drop(self, message_class: MessageClass, ticket: str) -> None:
        """See the port."""
        tickets = self._state.tickets[message_class]
        if ticket in tickets:
            tickets[ticket] = self._state.now() + 250

    async def leave(self, worker_id: str) -> None:
        """See the port."""
        self._state.workers.pop(worker_id, None)
