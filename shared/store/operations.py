"""The port of operators: destinations, and legs that are set aside. Blocking, like `Spool`.

Any method may raise the `StoreError` family and nothing else. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from shared.hops import DestinationLimit
from shared.model.leg import Leg, LegState
from shared.model.message import Head, MessageClass
from shared.model.status import Status
from shared.store.limits import Limited, Override, Slowed
from shared.store.ports import Pause

Aside = Literal["dead", "uncertain"]
"""Dead letters, and legs that are held because nobody knows whether they were delivered."""
Place = tuple[int, bytes]
"""Where a list goes on: since when, and the id of the last leg that was given."""
State = Literal["active", "idle", "limited", "suspended", "backing_off", "probing"]
"""`backing_off` until its next probe; `probing`: a message probes it now, or its next one will."""


REFUSALS_DAYS = 2
"""Days of the calendar whose last refusals are told: this one and the one before."""


class Refusal(msgspec.Struct, frozen=True):
    """What a hop said that did not take a message, or not for everybody."""

    at_ms: int
    text: str
    """Code, enhanced code and text, without addresses."""


class Outline(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a next hop and class at little cost, as of now. Legs, not recipients."""

    hop: str
    message_class: MessageClass
    ready: int = 0
    deferred: int = 0
    in_flight: int = 0
    per_minute: float = 0.0
    """Legs that the hop has answered, over the last minute."""
    wakes_ms: int | None = None
    """When its next leg may go, when that is not now."""
    pause: Pause | None = None

    @property
    def depth(self) -> int:
        """Legs that wait."""
        return self.ready + self.deferred

    def state(self, now_ms: int) -> State:
        """What it does; `suspended`, `backing_off` and `probing` say that it stands still."""
        if self.pause is not None and self.pause.kind == "suspended":
            return "suspended"
        if self.pause is not None:
            return "backing_off" if (self.pause.until_ms or 0) > now_ms else "probing"
        if self.wakes_ms is not None and self.wakes_ms > now_ms and self.ready:
            return "limited"
        return "active" if self.ready or self.in_flight else "idle"


class Destination(Outline, frozen=True, kw_only=True):
    """Everything about it."""

    oldest_ms: int | None = None
    """How long the oldest message that waits was accepted ago; None when none waits."""
    limit: DestinationLimit = DestinationLimit()
    """What it may get now, with `wakes_ms` and `pause`."""
    applications: tuple[tuple[str, int], ...] = ()
    """(application, ready legs) of those that have any, the deepest first; '': from before."""
    override: Override | None = None
    """What an operator has set."""
    slowed: Slowed | None = None
    """How far its replies have slowed it down."""
    used: Mapping[str, int] = {}
    """Window (minute, hour, day) -> legs that count for it, where it has a limit."""
    connections: int = 0
    """SMTP sessions open over all workers to the relay or site, from whichever address."""
    refusal: Refusal | None = None
    """The last one, of yesterday at the earliest."""
    limits: tuple[Limited, ...] = ()
    """What holds for its relay or site, and for the route it is named after."""

    @property
    def rate(self) -> float:
        """Legs a second that it may get; 0: no limit."""
        return self.limit.per_second


def deepest(ready: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Applications with ready legs, the deepest first."""
    found = [(each, count) for each, count in ready.items() if count]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))


class SetAside(msgspec.Struct, frozen=True):
    """A leg that an operator has to decide about."""

    leg_id: bytes
    kind: Aside
    since_ms: int
    leg: Leg
    """With all its `attempts` (`shared.model.leg.counted`)."""
    head: Head

    def indices(self) -> list[int]:
        """Indices in `Head.recipients` of those that are dead or uncertain."""
        asides = (Status.DEAD, Status.UNCERTAIN)
        pairs = zip(self.leg.indices(), self.leg.statuses, strict=True)
        return [index for index, each in pairs if each in asides]

    def addresses(self) -> list[str]:
        """Whose mail it is."""
        return [self.head.recipients[index].email for index in self.indices()]


class Line(msgspec.Struct, frozen=True):
    """Legs that wait at a hop, in their order."""

    hop: str
    message_class: MessageClass
    application: str | None = None
    """Whose ready legs; None: the deferred ones of all. What waits for `send_at` is in no line."""

    def has(self, leg: Leg) -> bool:
        """Whether a leg stands in it: its id may for a while after it has gone."""
        if (leg.hop, leg.message_class) != (self.hop, self.message_class):
            return False
        if self.application is None:
            return leg.state is LegState.WAITING
        return leg.state is LegState.READY and leg.application == self.application


class Waiting(msgspec.Struct, frozen=True):
    """An entry of a line."""

    leg_id: bytes
    leg: Leg | None
    """None: it is gone from there, or cannot be read."""
    gone: bool = False
    head: Head | None = None
    """None: it was not asked for, or cannot be read."""


class Move(msgspec.Struct, frozen=True):
    """What becomes of an entry of a line."""

    leg_id: bytes
    leg: Leg | None = None
    """As it was read; None: it is gone, and its id goes, too."""
    legs: tuple[Leg, ...] = ()
    """What replaces it, each with its hop."""


class Vitals(msgspec.Struct, frozen=True):
    """How the server itself is. None where it does not say."""

    ping_seconds: float = 0.0
    """What one command took, there and back."""
    uptime_seconds: int = 0
    clients: int = 0
    replicas: int = 0
    commands: int = 0
    evicted_keys: int = 0
    delayed_fsyncs: int = 0
    aof_write_ok: bool = True
    aof_rewrite_ok: bool = True
    durable: bool | None = None
    """Whether it writes an append-only file and syncs it before every answer."""


class Operations(Protocol):
    """What operators ask and decide."""

    def destinations(self, hops: Collection[str] | None = None) -> list[Destination]:
        """Every destination that has mail, stands still or was busy lately; the deepest first.

        With `hops` those of them that are at these. Each costs some round trips' share: of
        thousands of sites `outlines` are what can be asked for every few seconds.
        """
        ...

    def outlines(self) -> list[Outline]:
        """The same destinations in the same order, with what their counters tell."""
        ...

    def vitals(self) -> Vitals:
        """How the server itself is."""
        ...

    def suspend(self, hop: str, until_ms: int | None, reason: str) -> None:
        """Keep a hop's mail queued; what is in flight ends."""
        ...

    def resume(self, hop: str) -> bool:
        """Lift a hop's suspension, its back-off, and what replies slowed it down; whether there was
        any of it."""
        ...

    def limits(self, keys: Sequence[str] | None = None) -> list[Limited]:
        """What holds for these keys, or for all of which anything is said."""
        ...

    def refusals(self, hops: Sequence[str]) -> dict[str, Refusal]:
        """What these hops refused last, those that did."""
        ...

    def set_limit(self, key: str, override: Override) -> None:
        """Limit a relay, `mx:SITE`, `mx:*` or `@ROUTE` otherwise than configured, from now on."""
        ...

    def clear_limit(self, key: str) -> bool:
        """As configured again; whether it was not."""
        ...

    def flush(self, hop: str, message_class: MessageClass, most: int) -> int:
        """Make at most `most` deferred legs of a destination due now; how many."""
        ...

    def line(self, line: Line, skip: int, most: int, *, heads: bool = False) -> list[Waiting]:
        """At most `most` entries of a line behind the first `skip`; with their `heads`."""
        ...

    def move(self, line: Line, moves: Sequence[Move], *, now: bool = False) -> list[bool]:
        """Put entries of a line elsewhere; at most 100, in one script. False: not moved.

        A leg is moved only as it was read, and never while it is leased. An older claim of it is
        over then. The rest of it stays: attempts, due time (unless `now`), end; a note is added.
        """
        ...

    def aside(self, kind: Aside, limit: int, before: Place | None = None) -> list[SetAside]:
        """Legs that are set aside, the last ones first; with `before` those after that one."""
        ...

    def requeue(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """Queue legs again: (leg id, the earliest time to give up). False: not set aside.

        The retry schedule begins anew.
        """
        ...

    def drop(self, legs: Sequence[bytes]) -> list[bool]:
        """Cancel what is open in them. False: not set aside (any more)."""
        ...
