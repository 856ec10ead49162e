"""What may be done to a message: asked first, done by the API's rules, audited, told."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.status import Status
from tests.support.console import ConsoleApi
from tests.support.delivering import attempt_all, claim, raw, settle
from tests.support.system import message

ACTS = ("cancel", "reschedule", "requeue", "drop")


def sent(console: ConsoleApi, **fields: Any) -> str:
    answer = console.send(message(**fields))
    assert answer.status_code == 202, answer.json
    found: str = answer.json["id"]
    return found


def statuses(console: ConsoleApi, identifier: str) -> list[str]:
    stored = console.store.spool.get(raw(identifier))
    assert stored is not None
    return [status.value for _, status in sorted(stored.statuses().items())]


def trail(console: ConsoleApi) -> list[tuple[str, str, dict[str, str]]]:
    return [(each.act, each.what, dict(each.details)) for each in console.store.records.trail()]


def test_cancel_asks_and_says_whom_it_touches(console: ConsoleApi) -> None:
    identifier = sent(console, to=["ann@b.test", "bob@b.test"])
    browser = console.signed_in("developer")
    page = browser.get(f"/messages/{identifier}/cancel").text
    assert "2 recipients get no copy" in page
    assert "ann@b.test" in page
    assert statuses(console, identifier) == ["queued", "queued"]
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/{identifier}?notice=message-cancelled")
    assert statuses(console, identifier) == ["cancelled", "cancelled"]
    assert trail(console) == [("message.cancelled", identifier, {"recipients": "2"})]
    assert (
        "Cancelled: who was still waiting"
        in browser.get(f"/messages/{identifier}?notice=message-cancelled").text
    )


def test_what_is_in_flight_is_not_cancelled(console: ConsoleApi) -> None:
    identifier = sent(console)
    browser = console.signed_in()
    assert "1 recipient gets no copy" in browser.get(f"/messages/{identifier}/cancel").text
    (claimed,) = claim(console.store)
    assert "is being delivered now" in browser.get(f"/messages/{identifier}/cancel").text
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 409
    assert "The message is being delivered now." in answer.text
    settle(console.store, claimed, [Status.DELIVERED])
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 409
    assert "Every recipient has a final status." in answer.text
    assert trail(console) == []


def test_a_second_cancel_is_told(console: ConsoleApi) -> None:
    identifier = sent(console)
    browser = console.signed_in()
    browser.post(f"/messages/{identifier}/cancel")
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 409
    assert "was cancelled before" in answer.text
    assert len(trail(console)) == 1


def test_a_message_gets_another_time(console: ConsoleApi) -> None:
    identifier = sent(console, send_at="2027-01-16T10:00:00Z")
    browser = console.signed_in()
    page = browser.get(f"/messages/{identifier}/reschedule").text
    assert 'value="2027-01-16T10:00"' in page
    assert "1 recipient gets a copy at the new time" in page
    answer = browser.post(f"/messages/{identifier}/reschedule", {"send_at": "2027-01-17T09:30"})
    assert answer.status_code == 303
    told = console.ask("GET", f"/v1/messages/{identifier}").json
    assert told["send_at"] == "2027-01-17T09:30:00.000Z"
    assert trail(console) == [
        ("message.rescheduled", identifier, {"send_at": "2027-01-17T09:30:00.000Z"})
    ]
    assert (
        browser.post(
            f"/messages/{identifier}/reschedule", {"send_at": "2027-01-15 07:00"}
        ).status_code
        == 303
    )
    assert statuses(console, identifier) == ["queued"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "A date and a time in UTC"),
        ("soon", "A date and a time in UTC"),
        ("2027-02-30T10:00", "A date and a time in UTC"),
        ("2028-01-01T10:00", "At most 90 days ahead."),
        ("2027-01-20T11:00", "Must lie before deliver_by."),
    ],
)
def test_a_wrong_time_is_told_beside_its_field(console: ConsoleApi, typed: str, words: str) -> None:
    identifier = sent(console, send_at="2027-01-16T10:00:00Z", deliver_by="2027-01-20T10:00:00Z")
    answer = console.signed_in().post(f"/messages/{identifier}/reschedule", {"send_at": typed})
    assert answer.status_code == 422
    assert f'<p class="wrong" id="send_at-error">{words}' in answer.text
    assert f'value="{typed}"' in answer.text
    assert trail(console) == []


def test_what_was_attempted_keeps_its_time(console: ConsoleApi) -> None:
    identifier = sent(console)
    attempt_all(console.store, Status.DEFERRED, (451, "4.2.0", "Later"))
    browser = console.signed_in()
    assert (
        "Only a message that was not attempted"
        in browser.get(f"/messages/{identifier}/reschedule").text
    )
    answer = browser.post(f"/messages/{identifier}/reschedule", {"send_at": "2027-01-17T09:30"})
    assert answer.status_code == 409
    assert "has been attempted already" in answer.text


@pytest.mark.parametrize(
    ("act", "past", "after"), [("requeue", "requeued", "queued"), ("drop", "dropped", "cancelled")]
)
@pytest.mark.parametrize(
    ("status", "note"), [(Status.DEAD, "poison"), (Status.UNCERTAIN, "connection lost")]
)
def test_what_is_set_aside_is_decided_about(
    console: ConsoleApi, act: str, past: str, after: str, status: Status, note: str
) -> None:
    identifier = sent(console, to=["ann@b.test", "bob@b.test"])
    attempt_all(console.store, status, (354, "", "Go ahead"), note=note)
    other = sent(console)
    attempt_all(console.store, status, note=note)
    browser = console.signed_in()
    page = browser.get(f"/messages/{identifier}/{act}").text
    assert "ann@b.test" in page
    assert ("nobody knows whether the copy has arrived" in page) == (status is Status.UNCERTAIN)
    assert statuses(console, identifier) == [status.value] * 2
    answer = browser.post(f"/messages/{identifier}/{act}")
    assert answer.status_code == 303
    assert statuses(console, identifier) == [after] * 2
    assert statuses(console, other) == [status.value]
    assert trail(console) == [(f"message.{past}", identifier, {"legs": "1", "recipients": "2"})]
    answer = browser.post(f"/messages/{identifier}/{act}")
    assert answer.status_code == 409
    assert "Nothing of this message is set aside" in answer.text


def test_only_what_can_be_done_is_offered(console: ConsoleApi) -> None:
    identifier = sent(console)
    reader, operator = console.signed_in("reader"), console.signed_in("operator")

    def offered(browser: Any) -> list[str]:
        page = browser.get(f"/messages/{identifier}").text
        return [act for act in ACTS if f"{identifier}/{act}" in page]

    assert offered(reader) == []
    assert offered(operator) == ["cancel", "reschedule"]
    attempt_all(console.store, Status.DEFERRED, (451, "4.2.0", "Later"))
    assert offered(operator) == ["cancel"]
    console.store.spool.cancel(raw(identifier))
    assert offered(operator) == []
    identifier = sent(console)
    attempt_all(console.store, Status.DEAD, note="poison")
    assert offered(operator) == ["requeue", "drop"]
    assert offered(reader) == []


def test_b37_a_reader_changes_nothing(console: ConsoleApi) -> None:
    identifier = sent(console)
    browser = console.signed_in("reader")
    for act in ACTS:
        assert browser.get(f"/messages/{identifier}/{act}").status_code == 403
        assert browser.post(f"/messages/{identifier}/{act}").status_code == 403
    assert statuses(console, identifier) == ["queued"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutcomeUnknown("x"), "look whether it was done"),
        (StoreUnavailable("x"), "Nothing was done"),
    ],
)
def test_a_store_that_goes_away_is_told(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    identifier = sent(console)
    browser = console.signed_in()

    def away(_: object) -> None:
        raise error

    monkeypatch.setattr(console.store.spool, "cancel", away)
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 503
    assert words in answer.text


def test_a_store_that_goes_away_after_the_act_does_not_say_nothing_was_done(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = sent(console)
    browser = console.signed_in()

    def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(console.store.records, "write", away)
    answer = browser.post(f"/messages/{identifier}/cancel")
    assert answer.status_code == 503
    assert "look whether it was done" in answer.text
    assert statuses(console, identifier) == ["cancelled"]
