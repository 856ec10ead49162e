"""The in-memory spool's state, and the moves that the scripts' prelude makes on Redis.

Not durable, one process, for tests and trials: the same rules as `lua/prelude.lua`, in Python. The
halves in `memory_spool` and `memory_queue` share one `State` and hold its lock.
"""

from __future__ import annotations

import math
import threading
from collections import deque

import msgspec

from shared.clock import Clock
from shared.hops import ANY_SITE, PoolMembers, limit_keys, member_of, mx_hop, queue_of
from shared.model.leg import Attempt, Leg, LegFlag, LegState, message_of
from shared.model.message import CLASSES, MessageClass
from shared.model.status import OPEN, Status
from shared.model.suppression import Suppression
from shared.model.turns import hop_and_application, queue_at
from shared.settings import Settings
from shared.store.events import Event
from shared.store.memory_early import EarlyNews
from shared.store.memory_limits import Limits
from shared.store.memory_outcomes import OutcomeCounts, application_of
from shared.store.memory_recent import RecentIds, SampleList
from shared.store.memory_shares import Shares
from shared.store.operations import Refusal
from shared.store.outcomes import OTHER, outcome_counter, outcome_field
from shared.store.pools import pause_of_pool
from shared.store.ports import Accepted, Idempotency, Pause
from shared.store.quotas import Window

TICKET_MS = 5000
LIVE_MS = 3000
REMEMBERED_MS = 60_000
MOST_KEPT = 500
"""Attempts in a history that only operators and ended workers have added to."""


def resting(leg: Leg) -> LegFlag:
    """The flags that outlive a claim."""
    return leg.flags & LegFlag.HOLD


class State:
    """Everything the spool knows."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.lock = threading.RLock()
        self.heads: dict[bytes, bytes] = {}
        """Packed, because they may be what this release cannot read."""
        self.contents: dict[bytes, bytes] = {}
        self.legs: dict[bytes, Leg] = {}
        self.open_legs: dict[bytes, int] = {}
        self.ready: dict[tuple[MessageClass, str], deque[bytes]] = {}
        """By class and queue, which is an application's at a hop; so are the next two."""
        self.ring: dict[MessageClass, deque[str]] = {name: deque() for name in CLASSES}
        self.wake: dict[MessageClass, dict[str, int]] = {name: {} for name in CLASSES}
        self.deferred: dict[MessageClass, dict[bytes, int]] = {name: {} for name in CLASSES}
        self.leases: dict[MessageClass, dict[bytes, int]] = {name: {} for name in CLASSES}
        self.waiting: dict[tuple[MessageClass, str], set[bytes]] = {}
        """Deferred legs by destination; those that wait for `send_at` are not among them."""
        self.expiry: dict[bytes, int] = {}
        self.dead: dict[bytes, int] = {}
        self.held: dict[bytes, int] = {}
        self.finished: deque[tuple[bytes, int]] = deque()
        self.events: list[Event] = []
        self.sequence = 0
        self.acknowledged: str | None = None
        self.idempotency: dict[bytes, tuple[Idempotency, Accepted, int]] = {}
        self.suppressions: dict[tuple[str, str, str], Suppression] = {}
        """By address, application and list."""
        self.quotas: dict[tuple[Window, str], tuple[int, int]] = {}
        """By window and application: when the window began, and recipients."""
        self.limits = Limits(self.now)
        self.blocked: dict[str, dict[str, int]] = {}
        """By key of a limit: hops that wait for a leg under lease to end, and since when."""
        self.awaited: dict[str, dict[str, int]] = {}
        """By key of a limit: hops where class critical found too few permits, and when it asks."""
        self.pools: dict[str, PoolMembers] = {}
        self.weights: dict[str, int] = {}
        self.apps: dict[tuple[MessageClass, str], dict[str, float]] = {}
        """By class and hop: application -> the end of its turn."""
        self.turns: dict[tuple[MessageClass, str], int] = {}  # When a hop last had a permit.
        self.shares: dict[MessageClass, Shares] = {}  # What the ring was like when last counted.
        self.served: dict[str, dict[str, float]] = {}
        """Pool -> member -> the end of its turn; the pool's own time under ''."""
        self.recovering: dict[str, tuple[int, int]] = {}  # Hop -> (since, strikes before).
        self.suspended: dict[str, Pause] = {}
        self.trouble: dict[str, Pause] = {}
        self.probes: dict[str, bytes] = {}
        self.inflight: dict[tuple[MessageClass, str], int] = {}
        self.answered: list[tuple[int, MessageClass, str]] = []
        self.refusals: dict[str, Refusal] = {}
        self.workers: dict[str, int] = {}
        self.last_pump: int | None = None
        self.reap_after = 0
        self.tickets: dict[MessageClass, dict[str, int]] = {name: {} for name in CLASSES}
        self.accepted: dict[MessageClass, int] = dict.fromkeys(CLASSES, 0)
        self.by_status: dict[tuple[MessageClass, Status], int] = {}
        self.ready_legs: dict[MessageClass, int] = dict.fromkeys(CLASSES, 0)
        self.counters: dict[str, int] = {}
        self.outcomes = OutcomeCounts(self.now)
        self.early = EarlyNews(self)
        self.recent = RecentIds()
        self.samples = SampleList(self)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.clock.now_ms()

    def bump(self, counter: str, by: int = 1) -> None:
        """Raise a counter."""
        self.counters[counter] = self.counters.get(counter, 0) + by

    def event(self, kind: str, leg: bytes, payload: bytes = b"") -> None:
        """Append to the events."""
        self.sequence += 1
        self.events.append(Event(f"{self.now()}-{self.sequence}", kind, leg, payload))

    def count(self, message_class: MessageClass, status: Status, by: int) -> None:
        """Change the number of recipients with a status."""
        key = (message_class, status)
        self.by_status[key] = self.by_status.get(key, 0) + by

    def restate(
        self, leg: Leg, wanted: tuple[Status, ...], allowed: frozenset[Status] = OPEN
    ) -> Leg:
        """The leg with `wanted` statuses where the old one is in `allowed`."""
        statuses = []
        for old, new in zip(leg.statuses, wanted, strict=True):
            if old is not new and old in allowed:
                self.count(leg.message_class, old, -1)
                self.count(leg.message_class, new, 1)
                statuses.append(new)
            else:
                statuses.append(old)
        return msgspec.structs.replace(leg, statuses=tuple(statuses))

    def restate_open(self, leg: Leg, status: Status) -> Leg:
        """The leg with every open recipient in one status."""
        return self.restate(leg, (status,) * len(leg.statuses))

    def heed(self, leg: Leg) -> Leg:
        """An older claim has reported, too late, that every open recipient has its mail."""
        late = bool(leg.flags & LegFlag.LATE_DELIVERY)
        if not late or not any(status in OPEN for status in leg.statuses):
            return leg
        self.bump("late_delivered")
        return self.restate_open(leg, Status.DELIVERED)

    def push_ready(self, leg_id: bytes, leg: Leg, *, at_head: bool = False) -> None:
        """Queue a leg; a queue that was empty gets its place in the ring."""
        name = queue_at(leg.hop, leg.application)
        queue = self.ready.setdefault((leg.message_class, name), deque())
        if not queue:
            self.ring[leg.message_class].append(name)
        if at_head:
            queue.appendleft(leg_id)
        else:
            queue.append(leg_id)
        self.ready_legs[leg.message_class] += 1

    def withdraw(self, leg_id: bytes, leg: Leg) -> Leg:
        """Take a leg out of whatever holds it; a ready id stays behind as a tombstone.

        Gives it as it is then: of a pool's leased leg the hop is the pool.
        """
        if leg.state is LegState.READY:
            self.ready_legs[leg.message_class] -= 1
        elif leg.state is LegState.LEASED:
            self.leases[leg.message_class].pop(leg_id, None)
            self.fly(leg, -1)
            self.unblock(member_of(leg.hop))
        elif leg.state is LegState.WAITING:
            self.undefer(leg_id, leg)
        self.dead.pop(leg_id, None)
        self.held.pop(leg_id, None)
        return msgspec.structs.replace(leg, hop=queue_of(leg.hop))

    def fly(self, leg: Leg, by: int) -> None:
        """Change the number of a destination's legs in flight."""
        place = (leg.message_class, member_of(leg.hop))
        self.inflight[place] = self.inflight.get(place, 0) + by

    def defer(self, leg_id: bytes, leg: Leg, due_ms: int) -> Leg:
        """A leg that was deferred."""
        self.deferred[leg.message_class][leg_id] = due_ms
        self.waiting.setdefault((leg.message_class, leg.hop), set()).add(leg_id)
        return msgspec.structs.replace(leg, state=LegState.WAITING, due_ms=due_ms)

    def undefer(self, leg_id: bytes, leg: Leg) -> None:
        """It waits no longer."""
        self.deferred[leg.message_class].pop(leg_id, None)
        self.waiting.get((leg.message_class, leg.hop), set()).discard(leg_id)

    def expire(self, leg_id: bytes, leg: Leg) -> None:
        """Its message's time is over. Which provider its hop belongs to is not known here."""
        application = application_of(leg, self.heads.get(message_of(leg_id)))
        field = outcome_field(leg.message_class, outcome_counter(application, OTHER, "expired"))
        self.outcomes.score(field, len(leg.open_indices()))
        leg = self.withdraw(leg_id, leg)
        self.legs[leg_id] = self.place(leg_id, self.restate_open(leg, Status.EXPIRED))
        self.event("expired", leg_id)

    def note(self, leg: Leg, text: str) -> Leg:
        """The leg with an attempt that no worker could report."""
        return self.remember(leg, Attempt(self.now(), leg.hop, (), text))

    def remember(self, leg: Leg, attempt: Attempt) -> Leg:
        """The leg with one attempt more in its history."""
        kept = leg.history[1:] if len(leg.history) >= MOST_KEPT else leg.history
        return msgspec.structs.replace(leg, history=(*kept, attempt))

    def still_until(self, hop: str) -> int:
        """Until when a hop stands still; 0: it does not, or is to be probed."""
        pause = self.suspended.get(hop)
        if pause is not None:
            if pause.until_ms is None:
                return self.now() + 3_600_000
            if pause.until_ms > self.now():
                return pause.until_ms
            del self.suspended[hop]
        pause = self.trouble.get(hop)
        if pause is None:
            return 0
        if (pause.until_ms or 0) > self.now():
            return pause.until_ms or 0
        probe = self.legs.get(self.probes.get(hop, b""))
        return self.now() + 1000 if probe is not None and probe.state is LegState.LEASED else 0

    def may_start(self, leg_id: bytes, leg: Leg) -> bool:
        """Whether its hop has not come to stand still since the leg was claimed."""
        hop, queue = member_of(leg.hop), queue_of(leg.hop)
        if hop in self.trouble and self.probes.get(hop) != leg_id:
            return False
        return self.suspension(hop) is None and self.suspension(queue) is None

    def recovery(self, hop: str) -> tuple[int, int] | None:
        """Since when a hop is back from trouble, and its strikes before; None: long ago."""
        found = self.recovering.get(hop)
        if found is not None and not 0 <= self.now() - found[0] <= REMEMBERED_MS:
            del self.recovering[hop]
            return None
        return found

    def postpone(self, hop: str) -> None:
        """A hop that waits goes on waiting until it stands still no longer."""
        till = self.still_until(hop)
        for name in CLASSES:
            for queue in self.queues_at(name, hop):
                if queue in self.wake[name]:
                    self.wake[name][queue] = till

    def due_wakes(self, name: MessageClass, most: int) -> list[str]:
        """Queues whose time has come, taken out of those that wait.

        First those whose last permit is the longest ago.
        """
        wake = self.wake[name]
        due = sorted((at, queue) for queue, at in wake.items() if at <= self.now())[:most]
        for _, queue in due:
            del wake[queue]

        def last_permit(queue: str) -> int:
            return self.turns.get((name, hop_and_application(queue)[0]), 0)

        return sorted((queue for _, queue in due), key=last_permit)

    def ranks(self, name: MessageClass, hop: str) -> list[tuple[float, str]]:
        """The applications that share a hop, the one that is next first."""
        return sorted((at, each) for each, at in self.apps.get((name, hop), {}).items())

    def queues_at(self, name: MessageClass, hop: str) -> list[str]:
        """The queues of a hop that may wait for a time."""
        return [hop, *(queue_at(hop, each) for _, each in self.ranks(name, hop) if each)]

    def leave(self, name: MessageClass, hop: str, application: str) -> None:
        """An application's queue has run empty."""
        apps = self.apps.get((name, hop), {})
        apps.pop(application, None)
        if not apps:
            self.apps.pop((name, hop), None)

    def to_ring(self, hop: str) -> None:
        """A hop that waits for a time goes to the ring's tail, in every class."""
        for name in CLASSES:
            for queue in self.queues_at(name, hop):
                if self.wake[name].pop(queue, None) is not None:
                    self.ring[name].append(queue)

    def stir(self, hop: str) -> None:
        """A hop stands still no longer; nor may the pools that it is a member of."""
        self.to_ring(hop)
        for pool, found in self.pools.items():
            if hop in dict(found.members):
                self.to_ring(pool)

    def pause(self, hop: str) -> Pause | None:
        """Why a hop stands still."""
        own = self.suspension(hop) or self.trouble.get(hop)
        pool = self.pools.get(hop)
        members = [self.pause(member) for member, _ in pool.members] if pool else []
        return pause_of_pool(own, members)

    def suspension(self, hop: str) -> Pause | None:
        """Its suspension, unless that is over."""
        pause = self.suspended.get(hop)
        over = pause is None or (pause.until_ms is not None and pause.until_ms <= self.now())
        return None if over else pause

    def flying(self, key: str) -> int:
        """Legs in flight of all hops that share a limit."""
        return sum(n for (_, hop), n in self.inflight.items() if key in limit_keys(hop))

    def unblock(self, hop: str) -> None:
        """A leg of a hop has ended: another that its limits kept back may try again."""
        waiting = any(self.wake.values())
        for key in limit_keys(hop):
            kept_back = self.blocked.get(key)
            if waiting and kept_back:
                _, first = min((at, each) for each, at in kept_back.items())
                del kept_back[first]
                self.to_ring(first)

    def ask_again(self, key: str) -> None:
        """A limit has changed: what waits for a permit of it is asked again."""
        for name in CLASSES:
            for _, queue in sorted((at, each) for each, at in self.wake[name].items()):
                hop = hop_and_application(queue)[0]
                if key in limit_keys(hop) or (key == ANY_SITE and mx_hop(hop)):
                    del self.wake[name][queue]
                    self.ring[name].append(queue)

    def due_in(self, leg: Leg, wait_ms: int) -> int:
        """When a leg is due: after the wait, yet not beyond its end."""
        due = self.now() + wait_ms
        return min(due, leg.give_up_ms) if leg.give_up_ms > self.now() else due

    def place(self, leg_id: bytes, leg: Leg, wait_ms: int = 0) -> Leg:
        """Where a leg goes once its statuses are known."""
        if any(status in OPEN for status in leg.statuses):
            return self.defer(leg_id, leg, self.due_in(leg, wait_ms))
        if Status.UNCERTAIN in leg.statuses:
            self.held[leg_id] = self.now()
            return msgspec.structs.replace(leg, state=LegState.HELD, due_ms=0)
        if Status.DEAD in leg.statuses:
            self.dead[leg_id] = self.now()
            return msgspec.structs.replace(leg, state=LegState.DEAD, due_ms=0)
        self._finish(leg_id)
        return msgspec.structs.replace(leg, state=LegState.FINAL, due_ms=0)

    def _finish(self, leg_id: bytes) -> None:
        message = message_of(leg_id)
        if message in self.open_legs:
            self.open_legs[message] -= 1
            if self.open_legs[message] > 0:
                return
            del self.open_legs[message]
        self.contents.pop(message, None)
        self.finished.append((message, self.now()))

    def live_workers(self) -> int:
        """Those seen lately: nobody forgets the others when the last one is gone."""
        return sum(1 for seen in self.workers.values() if seen >= self.now() - LIVE_MS)

    def top_up(self) -> int:
        """Mint the tickets that are missing."""
        minted = 0
        live = max(1, len(self.workers))
        for name in CLASSES:
            tickets = self.tickets[name]
            for ticket in [each for each, until in tickets.items() if until <= self.now()]:
                del tickets[ticket]
            if not self.ring[name]:
                continue
            quantum = self.settings.worker.quantum
            want = min(math.ceil(max(self.ready_legs[name], 1) / quantum), 2 * live)
            while len(tickets) < want:
                minted += 1
                self.bump("tickets_minted")
                serial = self.counters["tickets_minted"]
                tickets[f"t{CLASSES.index(name)}-{serial}"] = self.now() + TICKET_MS
        return minted
