"""Outcomes from transactions, and the waits between attempts."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shared.settings import ClassRetrySettings, RetrySettings
from workers.classify import outcomes
from workers.retry import next_wait_ms
from workers.smtp import Reply, Stage, Transaction

OK = Reply(250, "2.0.0", "Ok")


def verdict(**fields: object) -> list[str]:
    values: dict[str, object] = {"stage": Stage.MESSAGE, "mail": OK, "recipients": {0: OK}}
    found = outcomes(Transaction(**{**values, **fields}), (0,))  # type: ignore[arg-type]
    return ["trouble"] if found.relay_trouble else [reply.status for reply in found.replies]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"data": OK, "dot_sent": True}, "d"),
        ({"data": Reply(450), "dot_sent": True}, "f"),
        ({"data": Reply(554), "dot_sent": True}, "b"),
        ({"data": Reply(421), "dot_sent": True}, "f"),
        ({"trouble": "connection lost", "dot_sent": True}, "u"),
        ({"trouble": "timed out", "dot_sent": True}, "u"),
        ({"trouble": "connection lost", "stage": Stage.DATA}, "f"),
        ({"trouble": "lease lost", "stage": Stage.DATA}, "f"),
        ({"recipients": {0: Reply(550, "5.1.1")}}, "b"),
        ({"recipients": {0: Reply(452, "4.5.3")}}, "f"),
        ({"recipients": {0: Reply(552)}}, "f"),
        ({"recipients": {0: Reply(503, "5.5.1")}}, "f"),
        ({"recipients": {0: Reply(552, "5.2.2")}}, "b"),
        ({"recipients": {0: Reply(299)}, "data": Reply(299), "dot_sent": True}, "d"),
        ({"mail": Reply(451), "recipients": {}}, "f"),
        ({"mail": Reply(553), "recipients": {}}, "b"),
        ({"mail": Reply(553), "recipients": {}, "trouble": "RSET refused"}, "f"),
        ({"mail": Reply(503, "5.5.1"), "recipients": {}}, "f"),
        ({"data": Reply(503, "5.5.1")}, "f"),
        ({"data": Reply(503, "5.5.1"), "dot_sent": True}, "f"),
        ({"data": Reply(451)}, "f"),
        ({"mail": None, "recipients": {}, "trouble": "connection refused"}, "trouble"),
        ({"mail": None, "recipients": {}, "trouble": "refused", "trouble_reply": Reply(554),
          "stage": Stage.BANNER}, "trouble"),
        ({"mail": Reply(530, "5.7.0"), "recipients": {}}, "trouble"),
        ({"recipients": {0: Reply(554, "5.7.1", "Relaying denied")}}, "trouble"),
    ],
)  # fmt: skip
def test_outcomes(fields: dict[str, object], expected: str) -> None:
    assert verdict(**fields) == [expected]


def replies(transaction: Transaction, count: int) -> list[tuple[str, int]]:
    found = outcomes(transaction, tuple(range(count)))
    return [] if found.relay_trouble else [(each.status, each.code) for each in found.replies]


DENIED = Reply(554, "5.7.1", "<x@y.test>: Relay access denied")


def test_a_relay_that_took_one_recipient_is_not_in_trouble_over_another() -> None:
    """P4: who has been given the mail is not given it again."""
    taken = Transaction(Stage.MESSAGE, OK, {0: OK, 1: DENIED}, OK, dot_sent=True)
    assert replies(taken, 2) == [("d", 250), ("f", 554)]
    lost = Transaction(Stage.MESSAGE, OK, {0: OK, 1: DENIED}, None, "timed out", dot_sent=True)
    assert replies(lost, 2) == [("u", 250), ("f", 554)]
    refused = Transaction(Stage.RCPT, OK, {0: Reply(550, "5.1.1"), 1: DENIED})
    assert replies(refused, 2) == []


@pytest.mark.parametrize(
    "text",
    [
        "Relaying denied",
        "<a@b.test>: Relay access denied",
        "5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
        "relay not permitted to relay",
        "relay not permitted",
        "Relaying not allowed",
        "We do not relay",
        "we don't relay",
        "TenantAttribution; Relay Access Denied",
        "Authentication required",
        "SMTP authentication is required.",
        "x" * 300 + " relaying denied",
    ],
)
def test_what_relays_say_to_strangers_is_the_relays_trouble(text: str) -> None:
    refused = Transaction(Stage.RCPT, OK, {0: Reply(550, "5.7.1", text)})
    found = outcomes(refused, (0,))
    assert found.note == "refused to relay: 550 5.7.1"
    assert found.own_commands
    (kept,) = found.replies
    assert (kept.status, kept.code, kept.text) == ("f", 550, text[:200])
    fine = Transaction(Stage.MESSAGE, OK, {0: Reply(250, "2.1.5", text)}, OK, dot_sent=True)
    assert replies(fine, 1) == [("d", 250)]
    later = Transaction(Stage.DATA, OK, {0: Reply(250, "2.1.5", text)}, Reply(451))
    assert replies(later, 1) == [("f", 451)]


@pytest.mark.parametrize(
    "text",
    [
        "Your message was rejected as spam",
        "This message was relayed by a host on a block list",
        "No such user here",
        "The relay chain of this message is too long",
        "sender is unauthenticated. All senders have to authenticate with either SPF or DKIM",
    ],
)
def test_other_refusals_are_the_messages_own(text: str) -> None:
    refused = Transaction(Stage.RCPT, OK, {0: Reply(550, "5.7.1", text)})
    assert replies(refused, 1) == [("b", 550)]


def test_a_missing_sign_in_is_no_objection_to_one_envelope() -> None:
    for code in (530, 535):
        found = outcomes(Transaction(Stage.MAIL, Reply(code, "5.7.0", "x")), (0,))
        assert (found.relay_trouble, found.own_commands) == (True, False)


def test_whom_a_relay_would_not_take_among_others_is_named() -> None:
    taken = Transaction(Stage.MESSAGE, OK, {0: OK, 1: DENIED}, OK, dot_sent=True)
    assert outcomes(taken, (0, 1)).denied == {1}


def test_uncertain_keeps_what_was_heard_and_how_much_was_sent() -> None:
    lost = Transaction(
        Stage.MESSAGE, OK, {0: Reply(250, "2.1.5", "Ok")}, None, "connection lost", None, True, 4213
    )
    found = outcomes(lost, (0,))
    assert (found.note, found.bytes_sent) == ("connection lost", 4213)
    assert (found.replies[0].status, found.replies[0].text) == ("u", "Ok")
    settled = Transaction(Stage.MESSAGE, OK, {0: OK}, OK, "", None, True, 4213)
    assert outcomes(settled, (0,)).bytes_sent == 0


def test_waits_follow_the_schedule_and_the_last_repeats() -> None:
    settings = RetrySettings(schedule_seconds=(60, 300), jitter=0.1)
    waits = [next_wait_ms(attempt, "bulk", settings, 0) for attempt in (1, 2, 3, 99)]
    assert waits == [60_000, 300_000, 300_000, 300_000]
    assert next_wait_ms(1, "bulk", settings, 1) == 66_000


def test_a_class_has_a_schedule_of_its_own() -> None:
    own = ClassRetrySettings(schedule_seconds=(5, 10), give_up_seconds=600)
    settings = RetrySettings(critical=own, jitter=0)
    assert next_wait_ms(1, "critical", settings, 0) == 5_000
    assert next_wait_ms(1, "transactional", settings, 0) == 60_000
    assert settings.give_up_of("critical") == 600
    assert settings.give_up_of("bulk") == 5 * 86_400


def test_the_default_schedule_over_five_days() -> None:
    """RFC 5321 section 4.5.4.1: two tries in the first hour, then every two or three hours."""
    settings = RetrySettings()
    at, tries = 0.0, [0.0]
    while at < settings.give_up_of("bulk"):
        at += next_wait_ms(len(tries), "bulk", settings, 0) / 1000
        tries.append(at)
    assert [round(each / 60) for each in tries[:6]] == [0, 1, 6, 21, 51, 111]
    assert sum(each <= 3600 for each in tries) == 5
    assert all(later - earlier <= 7200 for earlier, later in pairwise(tries))
    assert 55 < len(tries) < 75


def test_a_domains_own_host_refuses_a_recipient_where_a_relay_would_not_know_us() -> None:
    denied = Reply(550, "5.7.1", "relaying denied")
    told = Transaction(Stage.MESSAGE, OK, {0: denied, 1: OK}, OK, dot_sent=True, place="a [b]")
    found = outcomes(told, (0, 1), direct=True)
    assert [each.status for each in found.replies] == ["b", "d"]
    assert (found.denied, found.relay_trouble, found.note) == (frozenset(), False, "by a [b]")
    alone = Transaction(Stage.RCPT, OK, {0: denied})
    assert not outcomes(alone, (0,), direct=True).relay_trouble
    assert outcomes(alone, (0,)).relay_trouble
