"""A chaos run that cannot fail is worthless: made-up books with one fault each must be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.chaos.accounts import Books, Counts, Kill, Sent, Verdict, duplicates_of, judge
from tests.chaos.copies import Copy, Flight

STATUSES = ("queued", "scheduled", "deferred", "delivered", "bounced", "expired", "dead")


def sent(number: int, recipients: int) -> Sent:
    addresses = tuple(f"n{number}.r{at}@example.test" for at in range(recipients))
    return Sent(f"msg_{number}", f"<{number}@shop.test>", "bulk", addresses)


def copy(number: int, recipient: int = 0, nth: int = 1) -> Copy:
    to = f"n{number}.r{recipient}@example.test"
    return Copy(number, to, f"<{number}@shop.test>", float(nth), 4, number, nth)


def flight(number: int, recipient: int = 0, nth: int = 1) -> Flight:
    return number, f"n{number}.r{recipient}@example.test", nth


def books(
    copies: Sequence[Copy],
    *flights: Flight,
    status: str = "delivered",
    changes: dict[str, Any] | None = None,
) -> Books:
    """Message 1 with two recipients, message 2 with one; `status` is that of message 2."""
    messages = {1: sent(1, 2), 2: sent(2, 1)}
    statuses = {
        number: dict.fromkeys(each.recipients, status if number == 2 else "delivered")
        for number, each in messages.items()
    }
    total = Counter(state for states in statuses.values() for state in states.values())
    counts = Counts({"bulk": 3, "critical": 0}, {"bulk": {name: total[name] for name in STATUSES}})
    right = Books(
        sent=messages,
        unanswered=(),
        copies=copies,
        kills=(Kill("worker", "kill", in_flight=flights),),
        stored=statuses,
        shown=statuses,
        in_store=counts,
        in_metrics=counts,
        reconciliation={"bulk": 0.0},
    )
    return msgspec.structs.replace(right, **(changes or {}))


ALL = [copy(1, 0), copy(1, 1), copy(2)]


def only(verdict: Verdict) -> str:
    (violation,) = verdict.violations
    return violation


def test_everything_arrived_once() -> None:
    verdict = judge(books(ALL), 9.6)
    assert verdict.violations == ()
    assert verdict.summary.line() == (
        "accepted=2 delivered=2 dead=0 lost=0 duplicates=0 in_flight_at_kills=0"
        " late_bounced=0 complaints=0 suppressed=0 seconds=10"
    )


def test_no_copy_of_one_recipient_is_lost() -> None:
    verdict = judge(books([copy(1, 0), copy(2)]), 1)
    assert only(verdict) == "lost: 1: (1, 'n1.r1@example.test')"
    assert (verdict.summary.lost, verdict.summary.delivered) == (1, 1)


@pytest.mark.parametrize("status", ["queued", "deferred", "scheduled"])
def test_what_has_no_end_is_lost_although_it_arrived(status: str) -> None:
    verdict = judge(books(ALL, status=status), 1)
    assert verdict.summary.lost == 1
    assert "lost: 1: (2, 'n2.r0@example.test')" in verdict.violations


def test_what_the_store_does_not_know_is_lost() -> None:
    verdict = judge(books(ALL, changes={"stored": {1: books(ALL).stored[1]}}), 1)
    assert verdict.summary.lost == 1
    assert any(each.startswith("lost: 1") for each in verdict.violations)


def test_a_dead_letter() -> None:
    verdict = judge(books(ALL[:2], status="dead"), 1)
    assert only(verdict) == "dead: 1: (2, 'n2.r0@example.test')"
    assert (verdict.summary.dead, verdict.summary.lost, verdict.summary.delivered) == (1, 0, 1)


@pytest.mark.parametrize("status", ["bounced", "expired"])
def test_another_end_cannot_be_explained(status: str) -> None:
    verdict = judge(books(ALL, status=status), 1)
    assert "ended otherwise than can be explained: 1" in only(verdict)
    assert verdict.summary.delivered == 1


def test_a_bounce_without_a_copy_is_lost() -> None:
    verdict = judge(books(ALL[:2], status="bounced"), 1)
    assert "lost: 1: (2, 'n2.r0@example.test')" in verdict.violations


def test_an_unsubscribe_link_that_its_list_does_not_explain() -> None:
    linked = msgspec.structs.replace(copy(2), in_list=True)
    assert only(judge(books([*ALL[:2], linked]), 1)).startswith("with an unsubscribe link")


def test_a_duplicate_of_what_was_in_flight_is_allowed() -> None:
    verdict = judge(books([*ALL, copy(2, nth=2)], flight(2)), 1)
    assert verdict.violations == ()
    assert (verdict.summary.duplicates, verdict.summary.in_flight_at_kills) == (1, 1)


def test_more_duplicates_than_were_in_flight() -> None:
    verdict = judge(books([*ALL, copy(2, nth=2), copy(2, nth=3)], flight(2)), 1)
    assert "duplicates: 2 copies too many, 1 were in flight at the kills" in verdict.violations
    assert verdict.summary.duplicates == 2


def test_a_duplicate_of_something_else_than_was_in_flight() -> None:
    verdict = judge(books([*ALL, copy(2, nth=2)], flight(1), flight(1, 1)), 1)
    expected = "duplicates of what was not in flight at a kill: 1: (2, 'n2.r0@example.test', 1)"
    assert only(verdict) == expected


def test_a_copy_in_flight_at_two_kills_counts_once() -> None:
    kills = [Kill("worker", "kill", in_flight=(flight(2),)) for _ in range(2)]
    verdict = judge(books([*ALL, copy(2, nth=2), copy(2, nth=3)], changes={"kills": kills}), 1)
    assert verdict.summary.in_flight_at_kills == 1
    assert verdict.violations


def test_a_second_copy_in_flight_counts_again() -> None:
    kills = [Kill("worker", "kill", in_flight=(flight(2, nth=nth),)) for nth in (1, 2)]
    copies = [*ALL, copy(2, nth=2), copy(2, nth=3)]
    assert judge(books(copies, changes={"kills": kills}), 1).violations == ()
    assert duplicates_of(kills, copies) == [1, 1]
    assert duplicates_of(kills, copies[:-1]) == [1, 0]


def test_another_message_id_in_a_copy() -> None:
    other = msgspec.structs.replace(copy(2, nth=2), message_id="<3@shop.test>")
    verdict = judge(books([*ALL, other], flight(2)), 1)
    assert "Message-ID differs between copies: 1: 2" in verdict.violations


def test_another_message_id_than_the_client_was_told() -> None:
    wrong = msgspec.structs.replace(copy(2), message_id="<3@shop.test>")
    assert only(judge(books([*ALL[:2], wrong]), 1)).startswith("Message-ID is not the one")


def test_another_content_in_a_copy() -> None:
    other = msgspec.structs.replace(copy(2, nth=2), content=99)
    assert only(judge(books([*ALL, other], flight(2)), 1)) == "content differs between copies: 1: 2"


def test_what_nobody_accepted_arrives() -> None:
    assert "arrived without having been accepted" in only(judge(books([*ALL, copy(9)]), 1))


def test_a_message_without_a_202() -> None:
    assert (
        only(judge(books(ALL, changes={"unanswered": [7]}), 1)) == "never answered with a 202: 1: 7"
    )


@pytest.mark.parametrize("source", ["in_store", "in_metrics"])
def test_a_source_that_counts_one_too_many(source: str) -> None:
    right = books(ALL)
    accepted = Counts({"bulk": 4}, right.in_store.by_status)
    assert "accepted in the" in only(judge(books(ALL, changes={source: accepted}), 1))
    states = Counts(right.in_store.accepted, {"bulk": {"delivered": 4}})
    assert len(judge(books(ALL, changes={source: states}), 1).violations) == 2


def test_the_api_shows_something_else() -> None:
    shown = {**books(ALL).stored, 2: {"n2.r0@example.test": "deferred"}}
    violations = judge(books(ALL, changes={"shown": shown}), 1).violations
    assert "API and store disagree" in violations[0]
    assert len(violations) == 3


@pytest.mark.parametrize("values", [{"bulk": 1.0}, {}])
def test_reconciliation_must_be_there_and_zero(values: dict[str, float]) -> None:
    assert "posthaste_reconciliation" in only(
        judge(books(ALL, changes={"reconciliation": values}), 1)
    )


def test_many_oddities_do_not_hide_the_rest() -> None:
    violations = judge(books(ALL, changes={"oddities": ["odd"] * 300}), 1).violations
    assert violations == (*["odd"] * 5, "and 295 more oddities")


def test_oddities_are_violations() -> None:
    assert (
        only(judge(books(ALL, changes={"oddities": ["message 1 went to 2"]}), 1))
        == "message 1 went to 2"
    )
