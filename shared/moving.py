"""Moving waiting mail to another hop, in steps, so that it is known how far it came.

Only what waits is moved: ready legs and deferred ones. A leg that is leased stays, and so does one
that may have arrived where it was (an attempt's end is not known, or a worker ended in one),
unless it is said that this may be: another hop would deliver it once more. A store that goes away
in the middle is an ordinary outcome (`Moved.interrupted`); before that, while nothing was done, it
is the `StoreError` family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.hops import unresolved
from shared.model.leg import Leg
from shared.model.message import MessageClass
from shared.model.status import Status
from shared.model.turns import turn_name
from shared.parting import parted
from shared.routing import UNDECIDED_HOP, Routes
from shared.store.operations import Destination, Line, Move, Operations, Waiting

STEP = 100
"""Legs of one script: so many are in doubt when its answer does not come."""
BY_ROUTES = "routes"
"""In place of a hop: each leg goes where the routes would send it now."""
_UNKNOWN_END = ("worker ended", "unreadable")
"""Notes of attempts, or of a history, of which nobody knows what they came to."""


class Moving(msgspec.Struct, frozen=True):
    """What is to be moved, and where to."""

    hop: str
    to: str
    """A hop, or `BY_ROUTES`."""
    message_class: MessageClass | None = None
    application: str | None = None
    most: int = 1_000_000
    """Legs that are moved at most."""
    now: bool = False
    """Whether deferred legs are due at once."""
    uncertain: bool = False
    """Whether legs are moved, too, that may have arrived."""
    dry_run: bool = False


class Moved(msgspec.Struct):
    """What came of it so far. Legs, not recipients."""

    chosen: int = 0
    """Looked at, and of what is to be moved."""
    moved: int = 0
    stay: int = 0
    """They may have arrived where they were."""
    same: int = 0
    """The routes send them where they are."""
    stand_still: list[str] = []
    """Of the hops that they were moved to those whose mail does not go."""
    interrupted: str = ""
    """Why the store went away in the middle; empty when it did not."""
    in_doubt: int = 0
    """Interrupted: at most so many more may have been moved."""

    @property
    def movable(self) -> int:
        """Of those chosen what a dry run would have moved."""
        return self.chosen - self.stay - self.same


def wrong_target(to: object, hop: str, routes: Routes) -> str:
    """What is wrong with where mail of `hop` shall go; empty when nothing is."""
    there = targets(hop, routes)
    return "" if to in there else f"One of {', '.join(there)}."


def targets(hop: str, routes: Routes) -> list[str]:
    """Where mail of `hop` can go."""
    return [*(each for each in routes.hops if each not in (hop, UNDECIDED_HOP)), BY_ROUTES]


def may_have_arrived(leg: Leg) -> bool:
    """Whether the mail of an open recipient may be where an attempt has taken it."""
    open_ones = set(leg.open_indices())
    return any(
        each.note.partition(";")[0] in _UNKNOWN_END
        or any(
            reply.status == Status.UNCERTAIN.letter and reply.recipient in open_ones
            for reply in each.replies
        )
        for each in leg.all_attempts()
    )


def move(
    operations: Operations, rows: Sequence[Destination], moving: Moving, routes: Routes
) -> Moved:
    """Move it; `rows` are all destinations as they are now."""
    return _Run(operations, moving, routes, rows).go()


class _Run:
    def __init__(
        self,
        operations: Operations,
        moving: Moving,
        routes: Routes,
        rows: Sequence[Destination],
    ) -> None:
        self._operations = operations
        self._moving = moving
        self._routes = routes
        self._still = {each.hop for each in rows if each.pause is not None}
        self._rows = rows
        self._told = Moved()

    def go(self) -> Moved:
        """Every line, the deferred legs of a class first: they may become ready meanwhile."""
        told = self._told
        try:
            for line, length in self._lines():
                self._move_line(line, length)
        except StoreError as error:
            if not isinstance(error, OutcomeUnknown):
                told.in_doubt = 0
            if not told.moved and not told.in_doubt:
                raise StoreUnavailable(str(error)) from error
            told.interrupted = str(error)
        return told

    def _lines(self) -> Iterator[tuple[Line, int]]:
        moving = self._moving
        wanted = None if moving.application is None else turn_name(moving.application)
        for row in self._rows:
            if row.hop != moving.hop or moving.message_class not in (None, row.message_class):
                continue
            if row.deferred:
                yield Line(row.hop, row.message_class), row.deferred
            for application, ready in row.applications:
                if wanted in (None, application):
                    yield Line(row.hop, row.message_class, application), ready

    def _move_line(self, line: Line, length: int) -> None:
        """One line, as long as it was: what comes meanwhile is not chased."""
        moving = self._moving
        skip = seen = 0
        while seen < length and (left := moving.most - self._done()) > 0:
            step = min(STEP, length - seen, left)
            found = self._operations.line(line, skip, step, heads=moving.to == BY_ROUTES)
            if not found:
                return
            seen += len(found)
            moves = self._decided(found)
            skip += len(found)
            if moves and not moving.dry_run:
                skip -= self._step(line, moves)

    def _done(self) -> int:
        return self._told.movable if self._moving.dry_run else self._told.moved

    def _step(self, line: Line, moves: Sequence[Move]) -> int:
        """One script; how many entries the line has no more."""
        told = self._told
        told.in_doubt = sum(each.leg is not None for each in moves)
        done = self._operations.move(line, moves, now=self._moving.now)
        told.in_doubt = 0
        told.moved += sum(done)
        hops = {leg.hop for each, moved in zip(moves, done, strict=True) if moved
                for leg in each.legs}  # fmt: skip
        told.stand_still = sorted({*told.stand_still, *(hops & self._still)})
        return sum(moved or each.leg is None for each, moved in zip(moves, done, strict=True))

    def _decided(self, found: Sequence[Waiting]) -> list[Move]:
        moves: list[Move] = []
        ids: set[bytes] = set()
        for entry in found:
            if entry.leg_id in ids:  # Its leg goes with the first one, or stays with it.
                moves.append(Move(entry.leg_id))
            else:
                moves += self._decide(entry)
            ids.add(entry.leg_id)
        return moves

    def _decide(self, entry: Waiting) -> list[Move]:
        moving, told, leg = self._moving, self._told, entry.leg
        if leg is None:
            return [Move(entry.leg_id)] if entry.gone else []
        if moving.application is not None and leg.application != turn_name(moving.application):
            return []
        told.chosen += 1
        if not moving.uncertain and may_have_arrived(leg):
            told.stay += 1
            return []
        legs = self._parts(entry, leg)
        if all(each.hop == leg.hop for each in legs):
            told.same += 1
            return []
        return [Move(entry.leg_id, leg, legs)]

    def _parts(self, entry: Waiting, leg: Leg) -> tuple[Leg, ...]:
        """What replaces it. A leg of a site is on its route where that says: by DNS."""
        if self._moving.to != BY_ROUTES:
            return (msgspec.structs.replace(leg, hop=self._moving.to),)
        if entry.head is None:
            return (leg,)
        indices = leg.open_indices()
        hops = dict(zip(indices, self._routes.hops_of(entry.head, indices), strict=True))
        if set(hops.values()) <= {unresolved(leg.hop)}:
            return (leg,)
        first = next(iter(hops.values()))  # Whoever has a final status stays with the first.
        return parted(leg, [hops.get(index, first) for index in leg.indices()])
