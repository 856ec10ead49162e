"""A decision about what is set aside: what it is about, how far it was counted, how far it is done.

A person who decides about many sees first what it would touch, and then follows it, piece by piece:
each request looks at `PIECE` legs at most, so none takes minutes. The decision is a record of
whoever began it, and ends by itself after a day. Two requests that go on with the same one are told
apart by it: only the first counts.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from shared.ids import external
from shared.model.message import check_format
from shared.redrive import Choice, Redrive, Redriven
from shared.store.operations import Aside, Place, SetAside
from shared.store.records import Audited, Change, Records

KIND = "decisions"
PIECE = 2000
"""Legs that one request looks at."""
_FORMAT = 1
_KEPT_MS = 24 * 3_600_000
_SHOWN = 5
"""Ids that are shown beforehand."""
_MOST_NAMES = 20
"""Destinations and applications that are told by name."""
OTHERS = "others"

Act = Literal["requeue", "drop"]
ACTS: tuple[Act, ...] = ("requeue", "drop")


class Wanted(msgspec.Struct, frozen=True):
    """Which legs, as a person has chosen them; what is empty matches everything."""

    kind: Aside
    cause: str = ""
    destination: str = ""
    application: str = ""
    ids: tuple[bytes, ...] = ()
    """Messages that were ticked; empty: all that match."""

    def choice(self, until_ms: int | None = None) -> Choice:
        """The same for `Redrive`; with `until_ms` only what was set aside before."""
        return Choice(
            kinds=(self.kind,),
            message_ids=self.ids or None,
            cause=self.cause or None,
            destination=self.destination or None,
            application=self.application or None,
            until_ms=until_ms,
        )

    def of(self, ids: tuple[bytes, ...]) -> Wanted:
        """Only these messages of it."""
        return msgspec.structs.replace(self, ids=ids)

    def named(self) -> dict[str, str]:
        """The filter, for addresses of pages and for the audit trail."""
        texts = {
            "cause": self.cause, "destination": self.destination, "application": self.application,
        }  # fmt: skip
        return {"kind": self.kind, **{name: text for name, text in texts.items() if text}}


class Tally(msgspec.Struct, frozen=True):
    """What was counted so far."""

    legs: int = 0
    messages: int = 0
    """One that is set aside at several destinations counts once in a piece."""
    recipients: int = 0
    overdue: int = 0
    """Legs whose `deliver_by` has passed: queued again, they expire."""
    destinations: dict[str, int] = {}
    """Legs by destination."""
    applications: dict[str, int] = {}
    first: tuple[str, ...] = ()
    """Ids of the first few."""


class Decision(msgspec.Struct, frozen=True):
    """As it is stored."""

    id: str
    user_id: str
    act: Act
    wanted: Wanted
    began_ms: int
    until_ms: int | None = None
    """What is set aside then or later is left alone: nobody has seen it counted."""
    counted: Tally = Tally()
    counted_to: Place | None = None
    """Where counting goes on; None once `is_counted`: nothing is left."""
    is_counted: bool = False
    state: Literal["asked", "going", "done"] = "asked"
    chosen: int = 0
    """Legs that were there when their turn came."""
    done: int = 0
    done_to: Place | None = None
    in_doubt: int = 0
    """At most so many more: the store did not answer for them."""
    interrupted: bool = False
    """Whether the store went away in the last piece."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Decision).decode


def begun(user_id: str, act: Act, wanted: Wanted, now_ms: int) -> Decision:
    """A new one, nothing counted yet; it is not stored."""
    return Decision(secrets.token_hex(16), user_id, act, wanted, now_ms)


class Decisions:
    """All decisions."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def add(self, decision: Decision) -> None:
        """Store a new one."""
        self._records.write([_change_of(decision, None)])

    def find(self, user_id: str, decision_id: str) -> Decision | None:
        """A user's decision; None: there is none, it has ended, or it is somebody else's (B37)."""
        found = _unpack(self._records.get(KIND, decision_id.encode()))
        return found if found is not None and found.user_id == user_id else None

    def write(self, after: Decision, before: Decision, audited: Sequence[Audited] = ()) -> bool:
        """Store it; False, and nothing is audited: another request has changed it meanwhile."""
        packed = self._records.get(KIND, before.id.encode())
        if _unpack(packed) != before:
            return False
        return self._records.write([_change_of(after, packed)], audited)


def _change_of(after: Decision, expected: bytes | None) -> Change:
    """The change of its record. It is expected as it stands: another release packs otherwise."""
    ends = after.began_ms + _KEPT_MS
    return Change(KIND, after.id.encode(), _pack(after), expected, ends)


def _unpack(packed: bytes | None) -> Decision | None:
    if packed is None:
        return None
    check_format("decision", packed, _FORMAT)
    return _decode(packed[1:])


def _pack(decision: Decision) -> bytes:
    return bytes((_FORMAT,)) + _encode(decision)


def count_on(decision: Decision, redrive: Redrive, now_ms: int) -> Decision:
    """One more piece of it counted. Nothing is changed in the store."""
    choice = decision.wanted.choice(decision.until_ms)
    found, place = redrive.page(choice, PIECE, decision.counted_to)
    until = decision.until_ms
    if until is None and found:
        until = found[0].since_ms + 1
    return msgspec.structs.replace(
        decision,
        counted=_with(decision.counted, found, now_ms),
        counted_to=place,
        is_counted=place is None,
        until_ms=until,
    )


def go_on(decision: Decision, redrive: Redrive) -> tuple[Decision, Redriven]:
    """One more piece of it done, and what came of that. Raises the `StoreError` family when nothing
    was done by it."""
    act = redrive.requeue if decision.act == "requeue" else redrive.drop
    came_of = act(decision.wanted.choice(decision.until_ms), decision.done_to, windows=1)
    ended = came_of.next is None and not came_of.interrupted
    return msgspec.structs.replace(
        decision,
        state="done" if ended else "going",
        chosen=decision.chosen + came_of.chosen,
        done=decision.done + came_of.done,
        done_to=came_of.next,
        in_doubt=came_of.in_doubt,
        interrupted=bool(came_of.interrupted),
    ), came_of


def merged(decision: Decision, came_of: Redriven) -> Decision:
    """What came of a piece that another request has done at the same time, added to its record."""
    return msgspec.structs.replace(
        decision,
        done=decision.done + came_of.done,
        in_doubt=decision.in_doubt + came_of.in_doubt,
    )


def _with(tally: Tally, found: list[SetAside], now_ms: int) -> Tally:
    ids = list(dict.fromkeys(external(each.leg_id[:16]) for each in found))
    return Tally(
        legs=tally.legs + len(found),
        messages=tally.messages + len(ids),
        recipients=tally.recipients + sum(len(each.indices()) for each in found),
        overdue=tally.overdue + sum(_is_overdue(each, now_ms) for each in found),
        destinations=_added(tally.destinations, (each.leg.hop for each in found)),
        applications=_added(tally.applications, (each.head.application for each in found)),
        first=(*tally.first, *ids)[:_SHOWN],
    )


def _is_overdue(each: SetAside, now_ms: int) -> bool:
    return each.head.deliver_by_ms is not None and each.head.deliver_by_ms <= now_ms


def _added(counts: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """With each name counted; those beyond the first many together, as others."""
    found = dict(counts)
    for name in names:
        known = name if name in found or len(found) < _MOST_NAMES else OTHERS
        found[known] = found.get(known, 0) + 1
    return found
