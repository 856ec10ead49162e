"""One claim on the in-memory spool: the rules of `lua/claim.lua`."""

from __future__ import annotations

import math
from collections import deque

import msgspec

from shared.hops import leased_by, limit_keys, shared_part
from shared.model.leg import Leg, LegState, message_of
from shared.model.message import MessageClass
from shared.model.turns import hop_and_application, queue_at
from shared.store.memory_awaited import await_permits, is_for_critical
from shared.store.memory_limits import is_bound
from shared.store.memory_shares import Turns, counted, is_stale
from shared.store.memory_state import State, resting
from shared.store.unreadable import Row

INLINE_CONTENT_BYTES = 64 * 1024
CLAIM_CONTENT_BYTES = 4 * 1024 * 1024
MOST_EXPIRED = 200
MOST_WOKEN = 100
MOST_VAIN = 200
"""Queues that give nothing to one claim."""
SHARERS = 10
"""Among so many queues of the ring one claim is shared at least."""
BEFORE_ALL = 2**42
"""In ms: who waits for a leg to end so long is before everybody else."""
YIELD_MS = 20
"""How soon the other classes look again after class critical."""
RAMP_FIRST = 10
RAMP_MS = 8000
"""Legs that a hop which was in trouble gets at first, and for how long they double each second."""

_replace = msgspec.structs.replace


class ClaimRun:
    """One claim."""

    def __init__(
        self,
        state: State,
        message_class: MessageClass,
        limit: int,
        quantum: int,
        lease_ms: int,
    ) -> None:
        self._state = state
        self._class = message_class
        self._limit = limit
        self._quantum = quantum
        self._lease_ms = lease_ms
        self._bytes = 0
        self._over = False
        self._expired = self._vain = 0
        self._turn = quantum
        self._careful = bool(
            state.limits or state.suspended or state.trouble or state.recovering or state.weights
        )
        self._name = self._home = self._app = self._via = ""
        self._shut: dict[str, int] = {}
        self._emptied: set[str] = set()
        self._turns: Turns | None = None
        self.legs: list[Row] = []
        self.alone = False

    def go(self) -> None:
        """Take from the ring's queues in turn."""
        state, ring = self._state, self._state.ring[self._class]
        ring.extend(state.due_wakes(self._class, MOST_WOKEN))
        turns = len(ring)
        share = math.ceil(self._limit / min(max(turns, 1), SHARERS))
        self._turn = min(self._quantum, max(1, share))
        shares = state.shares.get(self._class) if turns > 1 else None
        if shares is not None and shares.hold(state.now(), turns):
            self._turns = Turns(shares, self._turn, self._quantum)
        self._go_round(ring, turns)
        for name in self._emptied:
            if name in ring:
                ring.remove(name)
        at = shares.at if shares is not None else None
        full, waiting = len(self.legs) >= self._limit, len(ring)
        if waiting > 1 and full and is_stale(at, state.now(), waiting):
            before = state.shares.get(self._class)
            state.shares[self._class] = counted(ring, state.limits, before, state.now())

    def _go_round(self, ring: deque[str], turns: int) -> None:
        """Where turns may be short: again, as long as there is something to take."""
        before = 0
        while turns and not self._is_full() and self._vain < MOST_VAIN:
            turns -= 1
            self._visit(ring.popleft(), last=turns == 0)
            if turns == 0 and self._turns is not None and len(self.legs) > before:
                turns, before = len(ring), len(self.legs)

    def _is_full(self) -> bool:
        return self._over or len(self.legs) >= self._limit

    def _visit(self, name: str, *, last: bool) -> None:
        """One queue of the ring: by its hop, or a pool's by the first of its members that may."""
        state = self._state
        queue = state.ready[self._class, name]
        self._name = name
        self._home, self._app = hop_and_application(name)
        self._emptied.discard(name)
        apart, still, wake = False, True, self._shut.get(self._home)
        before = len(self.legs)
        if self._turns is not None and wake is None:
            self._turn = self._turns.of(name, self._home)
            if last and not self.legs:
                self._turn = max(1, self._turn)
        if wake is None and self._turn > 0:
            apart, wake, still = self._serve(self._home, queue)
            if wake is not None:
                self._shut[self._home] = wake
        self._over = self._over or apart
        left = self._turn - (len(self.legs) - before)
        self._vain += len(self.legs) == before and (wake is not None or self._turn > 0)
        if queue:
            self._put_back(apart=apart, wake=wake, still=still, left=left)
            return
        self._leave(self._app)
        if (self._class, self._home) not in state.apps:
            state.turns.pop((self._class, self._home), None)

    def _put_back(self, *, apart: bool, wake: int | None, still: bool, left: int) -> None:
        """Where the queue goes, as there is mail left in it; `left` is what is of its turn."""
        state, name = self._state, self._name
        if apart:
            state.ring[self._class].appendleft(name)
        elif wake:
            state.wake[self._class][name] = wake
            self._enrol()
            if not still:
                state.bump("permits_refused")
        elif self._turns is not None and self._is_full() and left > 0:
            self._turns.go_on(name, left)
            state.ring[self._class].appendleft(name)
        else:
            state.ring[self._class].append(name)

    def _leave(self, application: str) -> None:
        if self._careful:
            self._state.leave(self._class, self._home, application)

    def _weight(self, application: str) -> int:
        return self._state.weights.get(application, 1)

    def _enrol(self) -> None:
        """Note an application among those that share the hop: behind whoever is next."""
        apps = self._state.apps.setdefault((self._class, self._home), {})
        if self._app not in apps:
            first = min(apps.values(), default=0.0)
            apps[self._app] = first + 0.5 / self._weight(self._app)

    def _take_turns(
        self, queue: deque[bytes], room: int, *, newest: bool, shared: bool
    ) -> tuple[int, bool]:
        """From the queue that has its turn, or from those of all applications there."""
        if shared:
            ranks = [each for _, each in self._state.ranks(self._class, self._home)]
            if ranks != [self._app] and (ranks or self._state.weights):
                return self._share_out(room, newest=newest)
        if newest:
            queue.rotate(1)
        return self._take_from(self._name, room)

    def _share_out(self, room: int, *, newest: bool) -> tuple[int, bool]:
        """Who has been given the least for its weight is first, whosever turn it was."""
        state, taken = self._state, 0
        self._enrol()
        ranks = state.ranks(self._class, self._home)
        while ranks and taken < room and not self._over:
            (at, app), *others = ranks
            share = room - taken
            if others:
                ahead = (others[0][0] - at) * self._weight(app)
                share = min(share, max(1, math.floor(ahead)))
            count, apart = self._share(app, share, newest=newest)
            taken += count
            if count and others:
                state.apps[self._class, self._home][app] = at + count / self._weight(app)
            if apart:
                return taken, True
            self._look_after(app)
            ranks = state.ranks(self._class, self._home)
        return taken, False

    def _share(self, app: str, share: int, *, newest: bool) -> tuple[int, bool]:
        name = queue_at(self._home, app)
        if newest:
            self._state.ready[self._class, name].rotate(1)
        return self._take_from(name, share)

    def _look_after(self, app: str) -> None:
        """Forget the turn of an application whose queue has run empty."""
        state, name = self._state, queue_at(self._home, app)
        if state.ready[self._class, name]:
            return
        self._leave(app)
        if name != self._name and state.wake[self._class].pop(name, None) is None:
            self._emptied.add(name)

    def _serve(self, queue_hop: str, queue: deque[bytes]) -> tuple[bool, int | None, bool]:
        """Whether a leg must be claimed alone; until when nothing can be taken; whether all stand
        still."""
        state = self._state
        members, start = self._takers(queue_hop)
        weights = dict(state.pools[queue_hop].members) if start else {}
        wakes, all_still = [], True
        for at, member in enumerate(members, 1):
            taken, apart, wake, still = self._take_by(member, queue_hop, queue)
            if taken and start:
                served = state.served[queue_hop]
                served[member] = start[member] + taken / weights[member]
                served[""] = start[member]
            if apart:
                return True, None, False
            if not wake or (taken and start and at < len(members)):
                return False, None, False
            wakes.append(wake)
            all_still = all_still and still
            if not still and not start:
                break
        return False, min(wakes), all_still

    def _takers(self, hop: str) -> tuple[list[str], dict[str, float]]:
        """Who is asked, in order; of a weighted pool with the start of each one's turn."""
        state = self._state
        pool = state.pools.get(hop)
        if pool is None or state.suspension(hop):
            return [hop], {}
        members = [member for member, _ in pool.members]
        if pool.kind == "ordered":
            return members, {}
        served = state.served.setdefault(hop, {})
        start = {each: max(served.get("", 0.0), served.get(each, 0.0)) for each in members}
        return sorted(members, key=lambda each: (start[each], each)), start

    def _take_by(
        self, hop: str, queue_hop: str, queue: deque[bytes]
    ) -> tuple[int, bool, int | None, bool]:
        """Let one hop take what it may: how many, whether one must be claimed alone, until when it
        can take no more, whether it stands still."""
        state = self._state
        until = state.still_until(hop)
        probing = not until and hop in state.trouble
        room, wake, scarce = self._opening(hop, until, probing=probing)
        booked = False
        if room <= 0:
            for key in limit_keys(hop):
                self._await(key, short=False)  # It waits for something else.
        else:
            room, later, few, booked = self._permitted(hop, queue_hop, room)
            wake = wake or later
            scarce = scarce or few
        self._via, taken, apart = leased_by(hop, queue_hop), 0, False
        if room > 0:
            newest = probing and state.trouble[hop].strikes % 2 == 0
            shared = scarce or bool(state.weights)
            taken, apart = self._take_turns(queue, room, newest=newest, shared=shared)
        if probing and taken:
            state.probes[hop] = self.legs[-1].leg_id
        permit = self._book(hop, taken) if booked else None
        if taken and booked:
            state.turns[self._class, queue_hop] = state.now()
        if taken < room:
            wake = None
        if wake or permit:
            wake = max(wake or 0, permit or 0)
        return taken, apart, wake, bool(until) or probing

    def _opening(self, hop: str, until: int, *, probing: bool) -> tuple[int, int | None, bool]:
        """How many legs a hop may take, but for its limits; until when; whether that is little."""
        wanted = min(self._turn, self._limit - len(self.legs))
        if until:
            return 0, until, True
        if probing:
            return 1, self._state.now() + 1000, True
        room, wake = self._ramped(hop, wanted)
        return room, wake, room < wanted

    def _ramped(self, hop: str, room: int) -> tuple[int, int | None]:
        """A hop that comes back from trouble gets little at first."""
        state, recovery = self._state, self._state.recovery(hop)
        if recovery is None or state.now() - recovery[0] > RAMP_MS:
            return room, None
        most = RAMP_FIRST * 2 ** ((state.now() - recovery[0]) // 1000)
        left = max(0, min(room, most - state.flying(shared_part(hop))))
        return left, state.now() + 250 if left < room else None

    def _permitted(self, hop: str, queue_hop: str, room: int) -> tuple[int, int | None, bool, bool]:
        """How many may go now; when the next one may; whether there are few permits; whether they
        are to be booked."""
        state, wake, wanted = self._state, None, room
        found = [(key, limit) for key in limit_keys(hop) if (limit := state.limits.of(key))]
        if not any(is_bound(limit) for _, limit in found):
            return room, None, False, False
        booked = False
        for key, limit in found:
            before = room
            if limit.concurrency:
                free = limit.concurrency - state.flying(key)
                if free < room:
                    room, wake = max(0, free), state.now() + 1000
                    self._block(key, queue_hop)
            allowed = state.limits.allowed(key, limit)
            booked = booked or allowed is not None
            if allowed is not None and allowed < room:
                room, wake = allowed, None
            self._await(key, short=room < before)
        keys, others = [key for key, _ in found], self._class != "critical"
        if others and is_for_critical(state, {hop, queue_hop}, keys):
            return 0, state.now() + YIELD_MS, True, False
        return room, wake, booked or room < wanted, booked

    def _block(self, key: str, queue_hop: str) -> None:
        """The hop waits for a leg of a key to end; with class critical before all others."""
        blocked, now = self._state.blocked.setdefault(key, {}), self._state.now()
        if self._class == "critical":
            blocked[queue_hop] = min(blocked.get(queue_hop, now), now - BEFORE_ALL)
        else:
            blocked.setdefault(queue_hop, now)

    def _await(self, key: str, *, short: bool) -> None:
        if self._class == "critical":
            await_permits(self._state, key, self._home, short=short)

    def _book(self, hop: str, taken: int) -> int | None:
        """Count permits; when they are used up, the time of the next ones."""
        limits = self._state.limits
        found = [(key, limit) for key in limit_keys(hop) if (limit := limits.of(key))]
        ends = [limits.book(key, limit, taken) for key, limit in found]
        last = max((each for each in ends if each is not None), default=None)
        changes = [at for key, _ in found if (at := limits.changes(key)) is not None]
        return last and max(self._state.now() + 1, min([last, *changes]))

    def _take_from(self, name: str, room: int) -> tuple[int, bool]:
        queue = self._state.ready[self._class, name]
        before = len(self.legs)
        while queue and len(self.legs) - before < room and not self._over:
            leg = self._state.legs.get(queue[0])
            if leg is None or leg.state is not LegState.READY or _place(leg) != name:
                queue.popleft()
                continue
            if 0 < leg.give_up_ms <= self._state.now():
                self._state.expire(queue.popleft(), leg)
                self._expired += 1
                self._over = self._over or self._expired >= MOST_EXPIRED
                continue
            if leg.crashes:
                if self.legs:
                    return len(self.legs) - before, True
                self.alone = self._over = True
            self._take(queue.popleft(), _replace(leg, hop=self._via))
        return len(self.legs) - before, False

    def _take(self, identifier: bytes, leg: Leg) -> None:
        state, message = self._state, message_of(identifier)
        leg = _replace(
            leg, state=LegState.LEASED, fence=leg.fence + 1, flags=resting(leg), due_ms=state.now()
        )
        state.legs[identifier] = leg
        state.leases[leg.message_class][identifier] = state.now() + self._lease_ms
        state.ready_legs[leg.message_class] -= 1
        state.fly(leg, 1)
        content: bytes | None = state.contents.get(message)
        if content is not None and len(content) > INLINE_CONTENT_BYTES:
            content = None
        self._bytes += len(content or b"")
        self._over = self._over or self._bytes >= CLAIM_CONTENT_BYTES
        self.legs.append(Row(identifier, leg, state.heads.get(message), content))


def _place(leg: Leg) -> str:
    """The queue that a leg stands in; it was moved where its id stands in another one, too."""
    return queue_at(leg.hop, leg.application)
