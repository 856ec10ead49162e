"""The accounts of a chaos run: what was accepted against what arrived. Pure.

`judge` takes everything that was gathered and gives the summary line's numbers and a line for each
violation. Messages are counted as accepted, delivered (each recipient has his copy, or is on the
suppression list), dead, lost; copies, which are one for each recipient, as duplicates and in
flight; recipients as bounced late, as suppressed, and as complaining.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from shared.model.message import MessageClass
from shared.model.status import FINAL, Status
from tests.chaos import came_back
from tests.chaos.came_back import BOUNCED, DELIVERED, SUPPRESSED, Back, Ends, To
from tests.chaos.copies import Copy, Flight, Pair

SHOWN = 5
"""Examples in the line of a violation."""

_FINAL_NAMES = frozenset(status.value for status in FINAL)
DEAD = Status.DEAD.value


class Sent(msgspec.Struct, frozen=True):
    """A message that got a 202."""

    id: str
    message_id: str
    message_class: MessageClass
    recipients: tuple[str, ...]
    list: str = ""
    began: float = 0.0
    """When it was sent for the first time."""
    suppressed: frozenset[str] = frozenset()
    """Recipients who were suppressed, by its receipt."""

    @property
    def to(self) -> To:
        """What matters for who may get it."""
        return To(self.message_class, self.list, self.began, self.suppressed)


class Kill(msgspec.Struct, frozen=True):
    """One entry of the ledger: what was done to which processes, and what they had in flight."""

    target: str
    action: str
    pids: tuple[int, ...] = ()
    began: float = 0.0
    """Seconds from the run's start."""
    seconds: float = 0.0
    leased: int = 0
    """Legs in the hands of workers when it began."""
    in_flight: tuple[Flight, ...] = ()
    """Copies that the receiver had accepted and the store did not know as delivered."""
    note: str = ""


class Counts(msgspec.Struct, frozen=True):
    """Recipients by class, as one source tells them."""

    accepted: dict[str, int]
    by_status: dict[str, dict[str, int]]


class Books(msgspec.Struct, frozen=True):
    """Everything that was gathered. Statuses are names, by number and address."""

    sent: Mapping[int, Sent]
    unanswered: Sequence[int]
    """Messages that never got their 202."""
    copies: Sequence[Copy]
    kills: Sequence[Kill]
    stored: Mapping[int, Mapping[str, str]]
    shown: Mapping[int, Mapping[str, str]]
    """The same as the API shows it."""
    in_store: Counts
    in_metrics: Counts
    reconciliation: Mapping[str, float]
    """posthaste_reconciliation, by class."""
    oddities: Sequence[str] = ()
    back: Back = Back()


class Summary(msgspec.Struct, frozen=True):
    """The numbers of the last line."""

    accepted: int
    delivered: int
    dead: int
    lost: int
    duplicates: int
    in_flight_at_kills: int
    late_bounced: int
    complaints: int
    suppressed: int
    seconds: float

    def line(self) -> str:
        """The last line."""
        return (
            f"accepted={self.accepted} delivered={self.delivered} dead={self.dead}"
            f" lost={self.lost} duplicates={self.duplicates}"
            f" in_flight_at_kills={self.in_flight_at_kills} late_bounced={self.late_bounced}"
            f" complaints={self.complaints} suppressed={self.suppressed}"
            f" seconds={self.seconds:.0f}"
        )


class Verdict(msgspec.Struct, frozen=True):
    """What it comes to; without violations the run is green."""

    summary: Summary
    violations: tuple[str, ...]


def judge(books: Books, seconds: float) -> Verdict:
    """Account for everything."""
    copies = Counter(copy.pair for copy in books.copies)
    lost = set(_lost(books, copies))
    dead = {pair for pair, status in _pairs(books, books.stored) if status == DEAD}
    extra = {pair: count - 1 for pair, count in copies.items() if count > 1}
    # A copy that is unsettled at two kills was in flight once: it can be doubled only once.
    flights = {flight for kill in books.kills for flight in kill.in_flight}
    in_flight = Counter((number, recipient) for number, recipient, _ in flights)
    to = {number: each.to for number, each in books.sent.items()}
    ends = Ends(books.back, to, in_flight)
    statuses = dict(_pairs(books, books.stored))
    unfinished = {number for number, _ in lost | dead}
    unfinished.update(
        pair[0] for pair, status in statuses.items() if status not in ends.may(pair)
    )  # fmt: skip
    summary = Summary(
        accepted=len(books.sent),
        delivered=len(books.sent) - len(unfinished),
        dead=len({number for number, _ in dead}),
        lost=len({number for number, _ in lost}),
        duplicates=sum(extra.values()),
        in_flight_at_kills=in_flight.total(),
        late_bounced=sum(status == BOUNCED for status in statuses.values()),
        complaints=len(books.back.by_kind().get("complaint", ())),
        suppressed=sum(status == SUPPRESSED for status in statuses.values()),
        seconds=seconds,
    )
    violations = (
        *_unanswered(books),
        *_told("lost", lost),
        *_told("dead", dead),
        *_wrong_statuses(books, ends),
        *_duplicates(extra, in_flight),
        *_strangers(books, copies),
        *_identity(books),
        *(
            line
            for what, some in came_back.wrong(books.back, ends, to, statuses, copies, in_flight)
            for line in _told(what, some)
        ),
        *_totals(books),
        *_odd(books),
    )
    return Verdict(summary, violations)


def duplicates_of(kills: Iterable[Kill], copies: Iterable[Copy]) -> list[int]:
    """For each kill how many of the copies in flight were followed by another one."""
    known = {copy.flight for copy in copies}
    return [sum((n, to, nth + 1) in known for n, to, nth in kill.in_flight) for kill in kills]


def _pairs(
    books: Books, statuses: Mapping[int, Mapping[str, str]]
) -> Iterator[tuple[Pair, str | None]]:
    """Every accepted recipient with its status; None when it is not known at all."""
    for number, sent in books.sent.items():
        known = statuses.get(number, {})
        for recipient in sent.recipients:
            yield (number, recipient), known.get(recipient)


def _told(what: str, some: Iterable[object]) -> Iterator[str]:
    """One line with a count and a few examples; nothing when there is nothing."""
    found = sorted(some, key=str)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield f"{what}: {len(found)}: {', '.join(map(str, found[:SHOWN]))}{more}"


def _odd(books: Books) -> Iterator[str]:
    yield from books.oddities[:SHOWN]
    if len(books.oddities) > SHOWN:
        yield f"and {len(books.oddities) - SHOWN} more oddities"


def _unanswered(books: Books) -> Iterator[str]:
    yield from _told("never answered with a 202", books.unanswered)


def _lost(books: Books, copies: Counter[Pair]) -> Iterator[Pair]:
    """Accepted recipients without a copy (unless they never get one), or without an end."""
    for pair, status in _pairs(books, books.stored):
        ended = status in _FINAL_NAMES or status == DEAD
        if not ended or (status in (DELIVERED, BOUNCED) and not copies[pair]):
            yield pair


def _wrong_statuses(books: Books, ends: Ends) -> Iterator[str]:
    """The receiver refuses nothing for good, so that no other end can be explained."""
    yield from _told(
        "ended otherwise than can be explained",
        (
            (*pair, status, "may be", *sorted(ends.may(pair)))
            for pair, status in _pairs(books, books.stored)
            if status in _FINAL_NAMES and status not in ends.may(pair)
        ),
    )
    shown = dict(_pairs(books, books.shown))
    yield from _told(
        "API and store disagree",
        (
            (*pair, status, shown[pair])
            for pair, status in _pairs(books, books.stored)
            if shown[pair] != status
        ),
    )


def _duplicates(extra: Mapping[Pair, int], in_flight: Counter[Pair]) -> Iterator[str]:
    """No more copies than were in flight; and each of what was in flight, as often as it was."""
    total, bound = sum(extra.values()), in_flight.total()
    if total > bound:
        yield f"duplicates: {total} copies too many, {bound} were in flight at the kills"
    yield from _told(
        "duplicates of what was not in flight at a kill",
        ((*pair, count) for pair, count in extra.items() if count > in_flight[pair]),
    )


def _strangers(books: Books, copies: Counter[Pair]) -> Iterator[str]:
    known = {pair for pair, _ in _pairs(books, {})}
    yield from _told("arrived without having been accepted", copies.keys() - known)


def _identity(books: Books) -> Iterator[str]:
    """Every copy of a message is the same message."""
    seen: dict[int, Copy] = {}
    ids, contents, wrong, lists = set(), set(), set(), set()
    for copy in books.copies:
        first = seen.setdefault(copy.number, copy)
        if copy.message_id != first.message_id:
            ids.add(copy.number)
        if copy.content != first.content:
            contents.add(copy.number)
        sent = books.sent.get(copy.number)
        if sent is not None and copy.message_id != sent.message_id:
            wrong.add(copy.number)
        if sent is not None and copy.in_list != bool(sent.list):
            lists.add(copy.number)
    yield from _told("with an unsubscribe link, or without, contrary to its list", lists)
    yield from _told("Message-ID differs between copies", ids)
    yield from _told("Message-ID is not the one that the 202 told", wrong)
    yield from _told("content differs between copies", contents)


def _totals(books: Books) -> Iterator[str]:
    """Accepted equals the sum of states: in the store, in the API, in the metrics."""
    accepted: Counter[str] = Counter()
    for sent in books.sent.values():
        accepted[sent.message_class] += len(sent.recipients)
    for name, counts in (("store", books.in_store), ("metrics", books.in_metrics)):
        if +Counter(counts.accepted) != +accepted:
            yield f"accepted in the {name}: {counts.accepted}, with a 202: {dict(accepted)}"
        sums = Counter({each: sum(states.values()) for each, states in counts.by_status.items()})
        if +sums != +accepted:
            yield f"states in the {name} add up to {dict(sums)}, accepted: {dict(accepted)}"
    shown = Counter(status for _, status in _pairs(books, books.shown))
    for name, counts in (("store", books.in_store), ("metrics", books.in_metrics)):
        told: Counter[str | None] = Counter()
        for states in counts.by_status.values():
            told.update(states)
        if +told != +shown:
            yield f"states in the {name}: {dict(+told)}, in the API: {dict(shown)}"
    off = {name: value for name, value in books.reconciliation.items() if value}
    if off or not books.reconciliation:
        yield f"posthaste_reconciliation: {off or 'not there'}"
