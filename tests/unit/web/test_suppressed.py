"""Receipts of messages to suppressed recipients."""

from __future__ import annotations

from typing import Any

from shared.model.suppression import Suppression
from tests.support.api import Api
from tests.support.system import message


def statuses(body: Any) -> list[str]:
    return [each["status"] for each in body["recipients"]]


def test_the_receipt_names_who_is_suppressed(api: Api) -> None:
    api.store.suppressions.add([Suppression("gone@b.test", "shop"), Suppression("out@b.test")])
    answer = api.send(message(to=["a@b.test", "Gone@b.test"], cc="out@b.test"))
    assert answer.status_code == 202
    assert answer.json["status"] == "queued"
    assert answer.json["recipients"] == [
        {"address": "a@b.test", "status": "queued"},
        {"address": "Gone@b.test", "status": "suppressed"},
        {"address": "out@b.test", "status": "suppressed"},
    ]
    shown = api.ask("GET", f"/v1/messages/{answer.json['id']}").json
    assert statuses(shown) == ["queued", "suppressed", "suppressed"]


def test_all_suppressed_is_accepted_all_the_same(api: Api) -> None:
    api.store.suppressions.add([Suppression("gone@b.test", "shop")])
    later = {"send_at": "2027-01-16T08:00:00Z"}
    for fields, status in (({}, "queued"), (later, "scheduled")):
        answer = api.send(message(to="gone@b.test", **fields))
        assert (answer.status_code, answer.json["status"]) == (202, status)
        assert statuses(answer.json) == ["suppressed"]
    batch = {"messages": [message(to="gone@b.test"), message(**later)]}
    results = api.ask("POST", "/v1/messages/batch", json=batch).json["results"]
    assert [statuses(each) for each in results] == [["suppressed"], ["scheduled"]]


def test_a_replay_answers_who_was_suppressed_then(api: Api) -> None:
    api.store.suppressions.add([Suppression("gone@b.test", "shop")])
    headers = {"Idempotency-Key": "k"}
    mail = message(to=["gone@b.test", "a@b.test"])
    first = api.send(mail, headers=headers)
    api.store.suppressions.remove("gone@b.test", "shop", "")
    api.store.suppressions.add([Suppression("a@b.test", "shop")])
    again = api.send(mail, headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    assert statuses(again.json) == ["suppressed", "queued"]
    assert statuses(api.send(mail).json) == ["queued", "suppressed"]


def test_another_applications_list_suppresses_nobody(api: Api) -> None:
    api.store.suppressions.add([Suppression("a@b.test", "other")])
    assert statuses(api.send(message(to="a@b.test")).json) == ["queued"]
