"""Whether a server has asked for less, by the replies of a transaction, and whom that spares."""

from __future__ import annotations

from typing import Any

import pytest

from shared.shaping.rules import Rules
from shared.shaping.settings import RuleSettings
from workers.classify import Verdict, outcomes
from workers.smtp import Reply, Stage, Transaction
from workers.throttle import MOST_ASKED, Throttle, asked_for_less, refusals

OK = Reply(250, "2.1.0", "ok")
SLOW = Reply(450, "4.7.1", "slow down, x@y.test")
CLOSING = Reply(421, "4.7.0", "slow down")
GREY = Reply(450, "4.7.1", "greylisted, slow down")
UNKNOWN = Reply(550, "5.1.1", "no such user")
RULES = Rules(
    [
        RuleSettings("narrow", codes=(451,), text="slow down", sites=("big",), suspend_seconds=9),
        RuleSettings("hints", text="slow down a little", slow=True),
        RuleSettings("words", text="slow down", suspend_seconds=1.5, slow=True),
        RuleSettings("final", codes=(554,), text="blocked", suspend_seconds=60),
    ]
)


def transaction(*recipients: Reply, **fields: Any) -> Transaction:
    return Transaction(
        Stage.MESSAGE, **{"mail": OK, "recipients": dict(enumerate(recipients)), **fields}
    )


def throttle(found: Transaction, provider: str = "") -> Throttle | None:
    return asked_for_less(refusals(found), RULES, provider)


def spared(found: Transaction) -> tuple[Verdict, list[int]]:
    verdict, asked = outcomes(found, tuple(found.recipients) or (0,)), throttle(found)
    assert asked is not None
    return verdict, sorted(asked.spares(verdict))


@pytest.mark.parametrize(
    "fields",
    [
        {"mail": None, "trouble_reply": SLOW},
        {"mail": SLOW},
        {"data": SLOW},
        {"data": SLOW, "dot_sent": True},
        {"mail": CLOSING, "trouble": "the server is closing"},
    ],
)
def test_a_reply_at_any_place_may_ask_for_less(fields: dict[str, Any]) -> None:
    found = throttle(transaction(OK, **fields))
    assert found is not None
    assert (found.rule.name, found.suspend_ms) == ("words", 1500)


def test_what_is_taken_or_about_a_recipient_asks_for_nothing() -> None:
    assert refusals(transaction(OK, OK, data=OK, dot_sent=True)) == []
    assert throttle(transaction(OK, data=Reply(250, "", "slow down"), dot_sent=True)) is None
    assert throttle(transaction(GREY, UNKNOWN, Reply(452, "4.2.2", "slow down"))) is None
    assert throttle(transaction(Reply(452, "4.5.3", "slow down"))) is None


def test_the_one_that_suspends_longest_counts_and_a_rule_of_a_provider_is_its_own() -> None:
    little, narrow = Reply(450, "4.7.1", "slow down a little"), Reply(451, "4.7.1", "slow down")
    found = throttle(transaction(little, narrow), "big")
    assert found is not None
    assert (found.rule.name, found.reply) == ("narrow", narrow)
    found = throttle(transaction(little, narrow))
    assert found is not None
    assert found.rule.name == "words"


def test_a_note_has_no_text_of_the_reply() -> None:
    found = throttle(transaction(SLOW))
    assert found is not None
    assert found.note == "asked for less: 450 4.7.1 (rule words)"
    bare = throttle(transaction(data=Reply(451, "", "slow down")))
    assert bare is not None
    assert bare.note == "asked for less: 451 (rule words)"


def test_whoever_waits_for_nothing_else_is_spared() -> None:
    verdict, whom = spared(transaction(SLOW, OK, UNKNOWN, Reply(450, "4.2.1", "later")))
    assert whom == [0, 1]  # The second has heard nothing, since there was no data.
    assert [each.status for each in verdict.replies] == ["f", "f", "b", "f"]
    assert spared(transaction(SLOW, OK, data=OK, dot_sent=True))[1] == [0]
    assert spared(transaction(OK, OK, data=SLOW, dot_sent=True))[1] == [0, 1]


def test_a_server_that_hangs_up_at_one_recipient_charges_none() -> None:
    found = transaction(OK, CLOSING, trouble="the server is closing")
    verdict = outcomes(found, (0, 1, 2))
    asked = throttle(found)
    assert asked is not None
    assert asked.spares(verdict) == {0, 1, 2}


def test_nobody_is_spared_by_a_bounce_or_where_nothing_is_suspended() -> None:
    final = transaction(OK, data=Reply(554, "5.7.1", "blocked"), dot_sent=True)
    assert spared(final)[1] == []
    assert spared(transaction(Reply(450, "4.7.1", "slow down a little")))[1] == []


def test_what_may_be_uncertain_is_not_spared() -> None:
    found = transaction(SLOW, OK, dot_sent=True, trouble="connection lost")
    verdict, whom = spared(found)
    assert whom == [0]
    assert [each.status for each in verdict.replies] == ["f", "u"]


def test_rules_are_asked_about_few_replies_of_many() -> None:
    texts = [Reply(450, "4.2.0", f"wait {number}") for number in range(100)]
    assert len(refusals(transaction(*texts, data=SLOW))) == MOST_ASKED
    assert len(refusals(transaction(*[SLOW] * 100, UNKNOWN))) == 2
    assert throttle(transaction(*texts, data=SLOW)) is not None
