"""The ports of the spool: what web, workers and the command line may ask of the store.

`shared.store.redis_*` implements them on Redis or Valkey, `shared.store.memory` in memory; one
contract test runs over both. Web and the command line use `Spool`, which blocks; a worker uses
`Queue`, which is asynchronous. Every method may raise the `StoreError` family and nothing else.
What else is asked has ports of its own (`keys`, `operations`, `suppressions`). All times are
milliseconds; "now" is the store's clock, never the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal, Protocol

import msgspec

from shared.hops import DestinationLimit, PoolMembers
from shared.model.leg import Attempt, Leg
from shared.model.message import Head, Message, MessageClass
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store.events import Event
from shared.store.figures import Depth, Health
from shared.store.quotas import Quota, Use
from shared.store.suppressions import Started, Starting

# -- ingest ---------------------------------------------------------------------------------


class Idempotency(msgspec.Struct, frozen=True):
    """A client's idempotency key: 16-byte digests of (application, key) and of the request."""

    key: bytes
    fingerprint: bytes


class Submission(msgspec.Struct, frozen=True):
    """One message to accept, with its legs as the static route has split them."""

    message: Message
    legs: tuple[Leg, ...]
    idempotency: Idempotency | None = None
    quota: Quota | None = None
    """What its application may send; None: no limit, and nothing is counted."""


class AcceptKind(Enum):
    """What became of one submission."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    """The same key and request was accepted before; `message_id` is the first one."""
    MISMATCH = "mismatch"
    """The key was used for another request; nothing was written."""
    OVER_QUOTA = "over_quota"
    """It does not fit its application's quota; nothing was written, nothing counted."""


class Accepted(msgspec.Struct, frozen=True):
    """The answer to one submission."""

    kind: AcceptKind
    message_id: bytes
    """The stored message; empty on MISMATCH and OVER_QUOTA."""
    scheduled: bool = False
    """Whether it was scheduled when it was first accepted."""
    full: Use | None = None
    """OVER_QUOTA: the window it does not fit; of several the one that ends last."""
    suppressed: tuple[int, ...] = ()
    """Indices in `Head.recipients` of those that are not sent to, when it was first accepted."""


class Pause(msgspec.Struct, frozen=True):
    """Why a hop stands still."""

    kind: Literal["suspended", "trouble"]
    """Suspended by an operator; in trouble: it could not be used, and is probed now and then."""
    until_ms: int | None
    """None: until an operator resumes it. In the past: it is being probed, or will be."""
    reason: str = ""
    strikes: int = 0
    """Trouble: how often in a row it could not be used."""
    since_ms: int | None = None


class Kept(msgspec.Struct, frozen=True):
    """What keeps ready mail of a hop back that does not stand still."""

    until_ms: int
    """When the next leg may go."""
    limit: str = ""
    """Such as `per_minute of gw1`; empty: it comes back from trouble, or lets critical pass."""


class Stored(msgspec.Struct, frozen=True):
    """A message as the store knows it now."""

    id: bytes
    head: Head
    legs: tuple[Leg, ...]
    """With all their `attempts` (`shared.model.leg.counted`)."""
    pauses: dict[str, Pause] = {}
    """Hops of its ready legs that stand still."""
    kept: dict[str, Kept] = {}
    """Hops of its other ready legs that may not have more at the moment."""

    def statuses(self) -> dict[int, Status]:
        """Status by index in `Head.recipients`."""
        return {
            index: status
            for leg in self.legs
            for index, status in zip(leg.indices(), leg.statuses, strict=True)
        }


class ChangeKind(Enum):
    """What became of a cancel or a reschedule."""

    CHANGED = "changed"
    IN_FLIGHT = "in_flight"
    TOO_LATE = "too_late"
    NOT_FOUND = "not_found"


class Changed(msgspec.Struct, frozen=True):
    """The answer to a cancel or a reschedule; `stored` is the message afterwards."""

    kind: ChangeKind
    stored: Stored | None = None


class Spool(Protocol):
    """The blocking half: accept, look, change."""

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | Exception]:
        """Store each submission atomically, in order; durable when this returns.

        The answers are in order. When the store fails part of the way, the submissions of the
        failing script get the exception (`OutcomeUnknown` when they may have been stored) and
        so do all later ones (`StoreUnavailable`, never sent). Never raises.
        """
        ...

    def get(self, message_id: bytes) -> Stored | None:
        """The message and its legs, or None when it is not (or no longer) known."""
        ...

    def content(self, message_id: bytes) -> bytes | None:
        """The packed content of a message; None when no leg of it can be sent any more, or it is
        not known."""
        ...

    def cancel(self, message_id: bytes) -> Changed:
        """Cancel every leg that is ready or waiting.

        CHANGED when at least one recipient was cancelled, IN_FLIGHT when none was and a leg is
        leased, TOO_LATE when all are final (a second cancel too).
        """
        ...

    def reschedule(self, message_id: bytes, send_at_ms: int, give_up_ms: int) -> Changed:
        """Set a new time for a message that has not been attempted; head and legs change."""
        ...

    def events(self, after: str = "0", limit: int = 1000) -> list[Event]:
        """Events after a stream id, oldest first."""
        ...

    def uses(self, application: str) -> tuple[Use, ...]:
        """What an application has used of each of `quotas.WINDOWS` while it had a limit."""
        ...

    def depth(self) -> Depth:
        """Counts for metrics and status."""
        ...

    def health(self) -> Health:
        """Whether mail should be accepted now. Raises `StoreUnavailable` when it cannot ask."""
        ...


# -- delivery -------------------------------------------------------------------------------


class Claimed(msgspec.Struct, frozen=True):
    """One leg under lease."""

    leg_id: bytes
    fence: int
    leg: Leg
    head: Head
    content: bytes | None
    """Packed content; None when it is over the inline limit: fetch it with `Queue.content`."""
    suppressed: dict[int, Suppression] = {}
    """Once started: recipients that are not sent to, by index in `Head.recipients`."""


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim."""

    legs: tuple[Claimed, ...]
    more: bool
    """Whether the class has more mail that may go now."""
    alone: bool = False
    """The one leg here has crashed a worker before: nothing else is in this claim."""
    damaged: int = 0
    """Legs that cannot be read: they become dead letters, `unreadable`."""
    newer: int = 0
    """Legs that a newer release has written: they wait for a minute."""
    again_ms: int | None = None
    """How soon a hop's next permit comes, or another time that one waits for."""


class Verb(Enum):
    """What a settlement does to a leg."""

    SETTLE = "settle"
    """An attempt was made, or the message gave up: statuses, history and due time change."""
    RELEASE = "release"
    """Nothing was sent: back to ready, no attempt used, the permit returned."""


class Settlement(msgspec.Struct, frozen=True):
    """The outcome of one claim of one leg."""

    leg_id: bytes
    fence: int
    verb: Verb
    statuses: tuple[Status, ...] = ()
    """SETTLE: the new status of each recipient of the leg, in the leg's order."""
    attempts: int = 0
    history: bytes = b""
    """The record's new tail (`pack_history`); RELEASE: empty when it stays as it is."""
    event: bytes = b""
    """SETTLE: payload of the `attempt` event."""
    retry_after_ms: int = 0
    """SETTLE with open recipients: when it is due again, from the store's now. RELEASE: how long
    to stay away (0: at once)."""
    counted: tuple[str, ...] = ()
    """SETTLE: counters to raise by one; no spaces in their names. `o|APPLICATION|SITE|WHAT` counts
    an outcome (`shared.store.returns`), of the leg's class."""
    answered: bool = False
    """SETTLE: the next hop has answered MAIL, so its trouble is over."""
    pinned: bool = False
    """SETTLE: the leg stays with the member of the pool that had it: it may have arrived there."""
    refusal: str = ""
    """What the hop said that has not taken it all, or has stopped for; kept for two days."""
    replaced: bool = False
    """RELEASE: others have the leg's place already, so that the store refuses this is no news."""


class Settled(Enum):
    """What the store made of a settlement."""

    DONE = "done"
    LATE = "late"
    """The lease had run out and nobody had claimed it: it counted."""
    REFUSED = "refused"
    """A newer claim or settle exists; a delivery in it is kept as evidence."""


class Pumped(msgspec.Struct, frozen=True):
    """What one run of the pump did."""

    due: int = 0
    reaped: int = 0
    crashed: int = 0
    dead: int = 0
    tickets: int = 0
    events_trimmed: int = 0
    forgotten: int = 0
    reaping_paused: bool = False
    more: bool = False
    """A limit was reached: run again at once."""


class Queue(Protocol):
    """The asynchronous half: what a worker asks."""

    async def claim(
        self,
        message_class: MessageClass,
        *,
        limit: int,
        quantum: int,
        tickets: Sequence[str] = (),
    ) -> Claim:
        """Lease up to `limit` legs, at most `quantum` from each destination of the ring.

        `tickets` are the ids of the tickets this claim answers; they stop counting as outstanding.
        Nothing is marked started: a claim whose answer is lost must not look like a crash.
        """
        ...

    async def start(self, legs: Sequence[Starting]) -> list[Started]:
        """Mark legs as started, and look who of their recipients is suppressed by now."""
        ...

    async def suppress(self, entries: Sequence[Suppression]) -> list[bool]:
        """The same as `Suppressions.add`."""
        ...

    async def dot(
        self, leg_id: bytes, fence: int, statuses: tuple[Status, ...], attempt: Attempt
    ) -> bool:
        """Commit what is known when the final dot of a leg to be held is about to go.

        `statuses` has those recipients as bounced that were refused; `attempt` stays in the
        history if nobody reports what became of it. False where the lease is lost: do not send.
        """
        ...

    async def renew(self, legs: Sequence[tuple[bytes, int]]) -> list[bool]:
        """Extend the leases; False where another claim exists: stop if that is still possible."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Apply outcomes; the same settlement twice is harmless."""
        ...

    async def split(
        self,
        leg_id: bytes,
        fence: int,
        legs: Sequence[Leg],
        limits: Mapping[str, DestinationLimit | None] | None = None,
    ) -> bool:
        """Replace a held leg by `legs` (a DNS route was resolved, or its relay is gone).

        The first one keeps the leg's number. `limits`: of the sites they go to, by shared part of
        hops. False when the lease is lost.
        """
        ...

    async def content(self, message_id: bytes) -> bytes | None:
        """The packed content of a message."""
        ...

    async def pump(self, worker_id: str) -> Pumped:
        """Heartbeat; move what is due; reap leases; top up tickets; forget what is old."""
        ...

    async def limits(self, limits: Mapping[str, DestinationLimit | None]) -> None:
        """Set what is configured for relays, `mx:SITE`, `mx:*` (all other sites) or `@ROUTE`;
        None: nothing, so that a site has what every site has. Those of other keys stay."""
        ...

    async def limit(self, key: str, limit: DestinationLimit | None) -> None:
        """The same of one."""
        ...

    async def weights(self, weights: Mapping[str, int]) -> None:
        """Set the weights of all applications, by `turn_name`; who is not in it has 1."""
        ...

    async def pools(self, pools: Mapping[str, PoolMembers]) -> None:
        """Set all pools, by their hops; those that are not in it are pools no longer."""
        ...

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
        """A hop could not be used: its mail stays queued, twice as long each time.

        From `first_ms` up to `longest_ms`; then one leg probes it, of all workers' together, until
        the hop answers one (`Settlement.answered`). Gives how many ms it stands still from now; 0
        when it did already, so that transactions that broke together count once. With
        `own_commands` it objected to one envelope: it does not stand still for that where it has
        answered another one in this minute or the one before. `firm`: no answer to what was under
        way ends it. `slow`, which is firm: it said that it gets too much, and has half of its
        limits from then on, and of the rate it had, and once more half each time; each minute
        without that takes one half back (`shared.store.limits`). With a `first_ms` of 0 it goes on.
        """
        ...

    async def drop(self, message_class: MessageClass, ticket: str) -> None:
        """Give up a ticket that this worker has no room for; it is replaced within 0.25 s."""
        ...

    async def leave(self, worker_id: str) -> None:
        """The worker stops: it no longer counts as live."""
        ...
