"""Figures by the API: whose they are, of which days, and what rates are taken of."""

from __future__ import annotations

from typing import Any

import pytest

from shared.stats_report import stats
from shared.store.keys import SCOPES
from shared.store.outcomes import Outcomes
from tests.support.api import Api

OUTCOMES: Outcomes = {
    ("shop", "bulk", "google", "delivered"): 900,
    ("shop", "bulk", "google", "bounced"): 100,
    ("shop", "bulk", "google", "bounced_late"): 50,
    ("shop", "bulk", "google", "complained"): 3,
    ("shop", "bulk", "google", "unsubscribed"): 9,
    ("shop", "critical", "other", "suppressed"): 2,
    ("shop", "critical", "other", "expired"): 1,
    ("news", "bulk", "other", "delivered"): 7,
    ("news", "bulk", "other", "of_a_newer_release"): 7,
}


@pytest.fixture
def told(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The days that the store is asked for."""
    asked: list[int] = []

    def outcomes(days: int) -> Outcomes:
        asked.append(days)
        return OUTCOMES

    monkeypatch.setattr(api.store.returns, "outcomes", outcomes)
    return asked


def names(answer: Any) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.json
    return [(each["application"], each["class"], each["site"]) for each in answer.json["data"]]


def test_an_application_sees_its_own_figures(api: Api, told: list[int]) -> None:
    answer = api.ask("GET", "/v1/stats")
    assert answer.json == {
        "days": 7,
        "since": "2027-01-09T00:00:00.000Z",
        "data": [
            {
                "application": "shop", "class": "critical", "site": "other", "delivered": 0,
                "bounced": 0, "expired": 1, "suppressed": 2, "bounced_late": 0, "complained": 0,
                "unsubscribed": 0, "bounce_rate": None, "complaint_rate": None,
            },
            {
                "application": "shop", "class": "bulk", "site": "google", "delivered": 900,
                "bounced": 100, "expired": 0, "suppressed": 0, "bounced_late": 50, "complained": 3,
                "unsubscribed": 9, "bounce_rate": 0.15, "complaint_rate": 0.003333,
            },
        ],
        "next_cursor": None,
    }  # fmt: skip
    assert names(api.ask("GET", "/v1/stats?application=shop&days=1")) == names(answer)
    assert told == [7, 1]


def test_operators_see_all_figures_or_one_applications(api: Api, told: list[int]) -> None:
    key = api.new_key("ops", scopes=SCOPES)
    assert names(api.ask("GET", "/v1/stats", key=key)) == [
        ("news", "bulk", "other"), ("shop", "critical", "other"), ("shop", "bulk", "google"),
    ]  # fmt: skip
    assert names(api.ask("GET", "/v1/stats?application=news", key=key)) == [
        ("news", "bulk", "other")
    ]
    assert names(api.ask("GET", "/v1/stats?application=nobody", key=key)) == []


def test_others_figures_need_the_scope(api: Api, told: list[int]) -> None:
    answer = api.ask("GET", "/v1/stats?application=news")
    assert (answer.status_code, answer.json["code"]) == (403, "missing_scope")
    assert told == []


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("days=0", ["/days"]), ("days=36", ["/days"]), ("days=-1", ["/days"]), ("days=", ["/days"]),
        ("days=1.5", ["/days"]), ("days=%D9%A1", ["/days"]), ("days=99999999999", ["/days"]),
        ("days=1&days=2", ["/days"]), ("application=a%0Ab", ["/application"]),
        ("since=x&days=x", ["/since", "/days"]),
    ],
)  # fmt: skip
def test_wrong_questions_are_422(api: Api, query: str, pointers: list[str]) -> None:
    answer = api.ask("GET", f"/v1/stats?{query}")
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == pointers


def test_a_rate_of_nothing_is_none() -> None:
    def row(**counts: int) -> dict[str, Any]:
        outcomes = {("a", "bulk", "other", what): n for what, n in counts.items()}
        (found,) = stats(outcomes, 1, 0)["data"]  # type: ignore[arg-type]
        return dict(found)

    assert row(complained=1)["complaint_rate"] is None
    assert row(complained=1, bounced=3)["bounce_rate"] == 1.0
    assert row(delivered=1)["bounce_rate"] == row(delivered=1)["complaint_rate"] == 0.0
