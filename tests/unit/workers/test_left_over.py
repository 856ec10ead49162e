"""Recipients that were too many for one transaction: what says so, and who goes on at once."""

from __future__ import annotations

import pytest

from workers.classify import outcomes, room_for, takes_one_domain
from workers.smtp import Reply, Stage, Transaction

OK = Reply(250, "2.0.0", "ok")
FULL = Reply(452, "4.5.3", "Error: too many recipients")
DOMAINS = Reply(451, "4.3.0", "Multiple destination domains per transaction is unsupported.")


def taken(*recipients: Reply, data: Reply | None = OK, dot_sent: bool = True) -> Transaction:
    return Transaction(Stage.MESSAGE, OK, dict(enumerate(recipients)), data, dot_sent=dot_sent)


def left_over(transaction: Transaction) -> list[int]:
    return sorted(outcomes(transaction, tuple(transaction.recipients)).left_over)


@pytest.mark.parametrize(
    "reply",
    [
        FULL,
        Reply(451, "4.5.3", "later"),
        Reply(452, "", "Too many recipients"),
        Reply(452, "", "too many rcpts in this session"),
        Reply(552, "5.5.3", "too many"),
        Reply(552, "", "Too many recipients"),
    ],
)
def test_who_was_too_many_goes_on(reply: Reply) -> None:
    found = taken(OK, OK, reply)
    assert (left_over(found), room_for(found)) == ([2], 2)
    assert [each.status for each in outcomes(found, (0, 1, 2)).replies] == ["d", "d", "f"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(452, "4.3.1", "Insufficient system storage"),
        Reply(452, "4.2.2", "too many recipients have a full mailbox"),
        Reply(452, "", "out of storage"),
        Reply(452, "", "Too many recipients received this hour"),
        Reply(450, "4.7.1", "Error: too many recipients from 1.2.3.4"),
        Reply(450, "4.2.0", "greylisted"),
        Reply(552, "5.2.2", "mailbox full"),
        Reply(550, "5.5.3", "too many recipients"),
    ],
)
def test_who_is_refused_for_another_reason_does_not(reply: Reply) -> None:
    found = taken(OK, reply)
    assert (left_over(found), room_for(found)) == ([], 0)


def test_recipients_of_another_domain_go_on_and_teach_no_number() -> None:
    found = taken(OK, DOMAINS, DOMAINS)
    assert (left_over(found), room_for(found), takes_one_domain(found)) == ([1, 2], 0, True)
    assert not takes_one_domain(taken(OK, FULL))
    assert not takes_one_domain(taken(OK, Reply(550, "5.7.1", DOMAINS.text)))


def test_nobody_goes_on_at_once_where_nobody_has_got_it() -> None:
    """The next transaction would come to the same: a message could go round for ever."""
    refused = Reply(451, "4.3.0", "later")
    assert left_over(taken(FULL, FULL, data=None, dot_sent=False)) == []
    assert left_over(taken(OK, FULL, data=refused)) == []
    assert left_over(taken(OK, FULL, data=Reply(550, "5.7.1", "no"))) == []
    assert left_over(taken(OK, FULL, data=None)) == []  # Nobody knows.
    assert room_for(taken(FULL, FULL, data=None, dot_sent=False)) == 0
    assert room_for(taken(OK, FULL, data=refused)) == 1
