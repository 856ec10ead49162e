"""What is moved and what stays, leg by leg; where mail may be moved to."""

from __future__ import annotations

import msgspec
import pytest

from shared.clock import ManualClock
from shared.model.leg import Attempt, Leg, LegState, RecipientReply
from shared.model.status import Status
from shared.moving import BY_ROUTES, Moving, may_have_arrived, move, wrong_target
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.routing import Routes
from shared.settings import Settings
from tests.support.stores import MemoryTestStore, settings, settlement

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("old", "new"))


def routes(*found: RouteSettings) -> Routes:
    return Routes(Settings(relay=RELAYS, route=found))


def leg(*attempts: Attempt) -> Leg:
    """Its first recipient has his mail."""
    statuses = (Status.DELIVERED, Status.DEFERRED)
    return Leg(LegState.WAITING, "bulk", "old", statuses, (4, 7), history=attempts)


def attempt(note: str = "", **letters: str) -> Attempt:
    replies = tuple(RecipientReply(int(name[1:]), letter) for name, letter in letters.items())
    return Attempt(1, "old", replies, note)


@pytest.mark.parametrize(
    ("attempts", "may"),
    [
        ((), False),
        ((attempt(_4="d", _7="f"),), False),
        ((attempt(_4="u", _7="f"), attempt(_4="d", _7="f")), False),
        ((attempt(_7="u"), *[attempt(_7="f")] * 9), True),
        ((attempt("connection lost; TLS", _7="u"),), True),
        ((attempt("worker ended"), attempt(_7="f")), True),
        ((attempt("unreadable"),), True),
        ((attempt("moved; to old"),), False),
        ((attempt("timed out", _7="f"),), False),
    ],
)
def test_what_may_have_arrived(attempts: tuple[Attempt, ...], may: bool) -> None:
    assert may_have_arrived(leg(*attempts)) is may


def test_where_mail_may_be_moved_to() -> None:
    found = routes(
        RouteSettings(name="pair", relays=("old", "new"), source_address="127.0.0.2"),
        RouteSettings(name="world", direct=True, sites=("*.a.test",)),
    )
    for to in ("new", "pool:pair", "old@pair", "new@pair", "mx:?", "routes"):
        assert wrong_target(to, "old", found) == ""
    wrong: object
    for wrong in ("old", "mx:?@?", "mx:mx.a.test", "pool:new", "", None, 5, ["new"]):
        told = wrong_target(wrong, "old", found)
        assert told == "One of new, pool:pair, old@pair, new@pair, mx:?, routes."


def test_who_has_a_final_status_stays_with_the_first_part() -> None:
    store = MemoryTestStore(settings(), ManualClock())
    submission = store.submission(hops=("old",), recipients=4)
    domains = ("one.test", "one.test", "two.test", "three.test")
    head = submission.message.head
    people = tuple(
        msgspec.structs.replace(each, email=f"x@{domain}")
        for each, domain in zip(head.recipients, domains, strict=True)
    )
    head = msgspec.structs.replace(head, recipients=people)
    message = msgspec.structs.replace(submission.message, head=head)
    store.spool.accept([msgspec.structs.replace(submission, message=message)])
    (claimed,) = store.claim().legs
    store.settle(
        settlement(claimed, Status.DELIVERED, Status.BOUNCED, Status.DEFERRED, Status.DEFERRED)
    )
    found = routes(
        RouteSettings(name="one", relay="old", recipient_domains=("one.test",)),
        RouteSettings(name="two", relay="new", recipient_domains=("two.test",)),
    )
    rows = store.operations.destinations()
    assert move(store.operations, rows, Moving("old", BY_ROUTES), found).moved == 1
    stored = store.spool.get(message.id)
    assert stored is not None
    assert [(each.hop, each.recipients) for each in stored.legs] == [
        ("new", (0, 1, 2)), ("old", (3,)),
    ]  # fmt: skip
    assert store.statuses(message.id) == ["delivered", "bounced", "deferred", "deferred"]
