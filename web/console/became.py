"""What became of a message, as its page shows it: the API's report, in parts that change apart.

Takes a message as it is stored; gives values for templates. Words, statuses and reasons are those
of `shared.report`; here only what people want beside them is added. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

import msgspec

from shared import report
from shared.classification.meaning import Category
from shared.classification.told import Meanings
from shared.ids import external
from shared.model.leg import LegState
from shared.model.message import Head
from shared.model.status import ASIDE, OPEN, Status
from shared.routing import Routes
from shared.store.ports import Stored

MOST_TOGETHER = 10
"""Recipients whose attempts stand on the page together; of more, one's are shown at a time."""
MOST_ATTEMPTS = 50
"""Attempts of each of them there: the last ones."""

WAITS = {
    "in_flight": "It is being delivered now.",
    "send_at": "It waits for the time at which it is to be sent.",
    "retry": "It is tried again later.",
    "suspended": "An operator has suspended this destination.",
    "relay_trouble": "The destination could not be used, and is probed now and then.",
    "limit": "A limit of this destination keeps it back.",
    "a_worker": "It is ready: the next worker takes it.",
}
"""What `waiting_for` means."""
PLAINLY: dict[Category, str] = {
    "mailbox_unknown": "There is no such mailbox.",
    "mailbox_disabled": "The mailbox is closed.",
    "mailbox_full": "The mailbox is full.",
    "mailbox_busy": "The mailbox takes no more for now.",
    "domain_unknown": "The domain takes no mail.",
    "greylisting": "The server wants to see another attempt.",
    "rate": "Too much comes at once.",
    "reputation": "The server does not trust where the mail comes from.",
    "policy": "A rule of the server is against it.",
    "content": "Something in the message is not wanted.",
    "authentication": "SPF, DKIM or DMARC did not satisfy the server.",
    "size": "The message is too large.",
    "routing": "The server does not know where it should go.",
    "protocol": "The two servers did not understand each other.",
    "system": "The server has trouble of its own.",
    "network": "The connection did not hold.",
    "encryption": "No safe connection could be made.",
}
"""What categories of replies mean, for people."""


class Person(msgspec.Struct, frozen=True):
    """One recipient."""

    index: int
    """In `Head.recipients`."""
    told: dict[str, Any]
    """As the API tells it."""
    attempts: list[dict[str, Any]] | None
    """The ones to show, with an `explanation` each; None: they are on a page of their own."""
    version: str
    """Changes with whatever is shown."""

    @property
    def earlier(self) -> int:
        """Attempts before those that are shown."""
        return 0 if self.attempts is None else len(self.told["attempts"]) - len(self.attempts)


class Became(msgspec.Struct, frozen=True):
    """A message and its recipients."""

    id: str
    head: Head
    told: dict[str, Any]
    """As the API tells it."""
    people: tuple[Person, ...]
    chosen: int | None
    """Whose attempts alone are shown."""

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Each status with its recipients, the most frequent first."""
        return Counter(each.told["status"] for each in self.people).most_common()

    @property
    def is_open(self) -> bool:
        """Whether anything may still change by itself."""
        return any(each.told["status"] in _OPEN for each in self.people)

    @property
    def cancellable(self) -> list[Person]:
        """Whom a cancel would reach now."""
        return [
            each
            for each in self.people
            if each.told["status"] in _OPEN and each.told["waiting_for"] != "in_flight"
        ]

    @property
    def in_flight(self) -> list[Person]:
        """Whose copies are being delivered now."""
        return [each for each in self.people if each.told["waiting_for"] == "in_flight"]

    @property
    def aside(self) -> list[Person]:
        """Whose mail somebody has to decide about."""
        return [each for each in self.people if each.told["status"] in _ASIDE]

    @property
    def is_untried(self) -> bool:
        """Whether a new time can still be set."""
        return self.is_open and not any(
            each.told["attempts"] or each.told["status"] not in _UNTRIED for each in self.people
        )

    @property
    def version(self) -> str:
        """Of what is told of all of them together."""
        return _version([[each.version for each in self.people], self.told["send_at"]])


_OPEN = frozenset(each.value for each in OPEN)
_ASIDE = frozenset(each.value for each in ASIDE)
_UNTRIED = _OPEN | {Status.SUPPRESSED.value}


def became(stored: Stored, routes: Routes, meanings: Meanings, chosen: int | None = None) -> Became:
    """The message; with all attempts of the recipient that is `chosen` only, if one is."""
    told = report.message(stored, routes, meanings)
    rows: list[dict[str, Any]] = told["recipients"]
    together = len(rows) <= MOST_TOGETHER
    indices = sorted(stored.statuses())
    people = []
    for index, row in zip(indices, rows, strict=True):
        attempts = row["attempts"] if chosen == index else None
        if chosen is None and together:
            attempts = row["attempts"][-MOST_ATTEMPTS:]
        if attempts is not None:
            attempts = [_explained(each) for each in attempts]
        people.append(Person(index, row, attempts, _version(row)))
    return Became(external(stored.id), stored.head, told, tuple(people), chosen)


def kinds_aside(stored: Stored) -> dict[str, int]:
    """Recipients that are dead, and that are uncertain, as far as their legs are set aside."""
    found: Counter[str] = Counter()
    for leg in stored.legs:
        if leg.state in (LegState.DEAD, LegState.HELD):
            found.update(each.value for each in leg.statuses if each in ASIDE)
    return dict(found)


def _explained(attempt: dict[str, Any]) -> dict[str, Any]:
    cause = (attempt["note"] or "").partition(";")[0]
    category = attempt["category"]
    return {
        **attempt,
        "category": category.replace("_", " ") if category else None,
        "plainly": PLAINLY.get(category),
        "explanation": report.REASONS.get(cause),
    }


def _version(shown: object) -> str:
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]
