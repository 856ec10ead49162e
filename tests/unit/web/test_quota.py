"""Quotas over the in-memory store: what is refused and how, in batches too, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.settings import ApplicationSettings, Settings
from tests.support.api import Api
from tests.support.system import message, samples_in

# The clock of these tests stands at 2027-01-15T08:00:00Z.
SHOP = ApplicationSettings(quota_per_minute=3, quota_per_day=5)
NEWS = ApplicationSettings(quota_per_month=2)


@pytest.fixture
def rationed() -> Iterator[Api]:
    found = Api(Settings(application={"shop": SHOP, "news": NEWS}))
    yield found
    found.close()


def people(count: int) -> list[str]:
    return [f"r{number}@example.test" for number in range(count)]


def batch(api: Api, *counts: int) -> list[dict[str, Any]]:
    messages = [message(to=people(count)) for count in counts]
    answer = api.ask("POST", "/v1/messages/batch", json={"messages": messages})
    assert answer.status_code == 202
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def test_over_quota_is_429_with_retry_after(rationed: Api) -> None:
    assert rationed.send(message(to=people(3))).status_code == 202
    rationed.clock.advance(12.5)
    answer = rationed.send(message())
    assert answer.status_code == 429
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "48"
    body = answer.json
    assert (body["title"], body["code"]) == ("Too Many Requests", "quota_exceeded")
    assert body["detail"] == (
        "The application may send to 3 recipients a minute; 3 are used, and 1 more would be too"
        " many. The next minute begins at 2027-01-15T08:01:00.000Z."
    )
    assert body["quota"] == {
        "window": "minute", "limit": 3, "used": 3, "reset": "2027-01-15T08:01:00.000Z",
    }  # fmt: skip
    assert body["retry_after_seconds"] == 48
    rationed.clock.advance(48)
    assert rationed.send(message(to=people(2))).status_code == 202
    assert rationed.accepted() == 5


def test_retry_after_may_be_days(rationed: Api) -> None:
    key = rationed.new_key("news")
    assert rationed.send(message(to=people(2)), key=key).status_code == 202
    answer = rationed.send(message(), key=key)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == str(16 * 86_400 + 16 * 3600)
    assert answer.json["quota"]["window"] == "month"


def test_a_batch_takes_what_fits_in_order(rationed: Api) -> None:
    results = batch(rationed, 2, 2, 1, 1)
    assert ["id" in each for each in results] == [True, False, True, False]
    error = results[1]["error"]
    assert (error["status"], error["code"], error["quota"]["used"]) == (429, "quota_exceeded", 2)
    assert error["retry_after_seconds"] == 60
    assert results[3]["error"]["quota"]["used"] == 3
    assert rationed.accepted() == 3


def test_a_batch_of_which_nothing_fits_is_answered_item_by_item(rationed: Api) -> None:
    assert rationed.send(message(to=people(3))).status_code == 202
    assert [each["error"]["status"] for each in batch(rationed, 1, 3)] == [429, 429]


def test_more_recipients_than_the_limit_is_422_because_waiting_does_not_help(rationed: Api) -> None:
    answer = rationed.send(message(to=people(2), bcc=["x@example.test", "y@example.test"]))
    assert answer.status_code == 422
    assert "Retry-After" not in answer.headers
    assert answer.json["errors"] == [
        {
            "pointer": "/to",
            "code": "too_many",
            "detail": "The application may send to 3 recipients a minute.",
        }
    ]
    twice = rationed.send(message(to=people(3), cc=people(3)))
    assert twice.status_code == 202, "an address that stands twice is one recipient"


def test_a_replay_is_answered_over_quota(rationed: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = rationed.send(message(to=people(3)), headers=headers)
    again = rationed.send(message(to=people(3)), headers=headers)
    assert (again.status_code, again.json) == (202, first.json)
    assert rationed.ask("GET", "/v1/quota").json["quota"][0]["used"] == 3


def test_refusals_over_quota_are_counted(rationed: Api) -> None:
    batch(rationed, 3, 1)
    rationed.send(message())
    samples = samples_in(rationed.operator.get("/metrics").get_data(as_text=True))
    assert samples['posthaste_messages_rejected_total{reason="quota_exceeded"}'] == 2


def test_an_application_sees_its_own_quota(rationed: Api) -> None:
    rationed.send(message(to=people(2)))
    answer = rationed.ask("GET", "/v1/quota")
    assert answer.status_code == 200
    assert answer.json == {
        "application": "shop",
        "quota": [
            {"window": "minute", "limit": 3, "used": 2, "reset": "2027-01-15T08:01:00.000Z"},
            {"window": "day", "limit": 5, "used": 2, "reset": "2027-01-16T00:00:00.000Z"},
        ],
    }
    other = rationed.ask("GET", "/v1/quota", key=rationed.new_key("other"))
    assert other.json == {"application": "other", "quota": []}
    assert rationed.ask("GET", "/v1/quota?application=news").status_code == 422


def test_without_a_quota_there_is_no_limit(rationed: Api) -> None:
    key = rationed.new_key("other")
    for _ in range(10):
        assert rationed.send(message(to=people(50)), key=key).status_code == 202
