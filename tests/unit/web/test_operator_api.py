"""What operators ask of the API: destinations, dead letters, what is held as uncertain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared import flushing, redrive
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.status import Status
from shared.store.keys import SCOPES
from tests.support.api import Api
from tests.support.stores import settlement
from tests.support.system import message


@pytest.fixture
def ops(api: Api) -> Api:
    """The API with an operator's key."""
    api.key = api.new_key("ops", scopes=SCOPES)
    return api


def settle_all(api: Api, status: Status, note: str = "", answered: bool = True) -> None:
    """Claim everything and settle it so."""

    async def work() -> None:
        claim = await api.store.queue.claim("transactional", limit=500, quantum=500)
        await api.store.queue.settle(
            [settlement(each, status, note=note, answered=answered) for each in claim.legs]
        )

    asyncio.run(work())


def sent(api: Api, count: int = 1, **fields: Any) -> list[str]:
    """Messages that were accepted; their ids."""
    answers = [api.send(message(**fields)) for _ in range(count)]
    assert all(each.status_code == 202 for each in answers)
    return [each.json["id"] for each in answers]


def set_aside(api: Api, count: int, note: str = "poison", **fields: Any) -> list[str]:
    """Messages that became dead letters, or held when their note says so."""
    ids = sent(api, count, **fields)
    settle_all(api, Status.UNCERTAIN if "lost" in note else Status.DEAD, note)
    return ids


def came_of(chosen: int, done: int) -> dict[str, Any]:
    """A decision that reached everything."""
    return {"chosen": chosen, "done": done, "overdue": 0, "next_cursor": None}


def pointers(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.json
    return [(each["pointer"], each["code"]) for each in answer.json["errors"]]


def test_operating_needs_its_scope(api: Api) -> None:
    paths = [
        (method, rule.rule.replace("<name>", "relay").replace("<identifier>", "msg_" + "0" * 32))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/v1/destinations", "/v1/dead-letters"))
    ]
    assert len(paths) == 13
    for method, path in paths:
        answer = api.ask(method, path)
        assert (answer.status_code, answer.json["code"]) == (403, "missing_scope"), path
    only = api.new_key("ops", scopes=("operate",))
    assert api.send(message(), key=only).json["code"] == "missing_scope"


def test_an_operator_sees_the_messages_of_every_application(api: Api) -> None:
    (identifier,) = sent(api)
    ops = api.new_key("ops", scopes=SCOPES)
    assert api.ask("GET", f"/v1/messages/{identifier}", key=ops).status_code == 200
    assert api.ask("POST", f"/v1/messages/{identifier}/cancel", key=ops).status_code == 404
    other = api.new_key("other")
    assert api.ask("GET", f"/v1/messages/{identifier}", key=other).status_code == 404


def test_destinations_tell_depth_age_and_state(ops: Api) -> None:
    (row,) = ops.ask("GET", "/v1/destinations").json["data"]
    assert (row["destination"], row["state"], row["oldest_seconds"]) == ("relay", "idle", None)
    sent(ops, 3)
    settle_all(ops, Status.DEFERRED)
    sent(ops, 2)
    ops.clock.advance(65)
    (row,) = ops.ask("GET", "/v1/destinations").json["data"]
    assert (row["destination"], row["class"], row["state"]) == ("relay", "transactional", "active")
    assert (row["ready"], row["deferred"], row["in_flight"]) == (2, 3, 0)
    assert row["oldest_seconds"] >= 64
    assert ops.ask("GET", "/v1/destinations/relay").json["data"] == [row]
    assert ops.ask("GET", "/v1/destinations/nowhere").status_code == 404


def test_suspend_and_resume(ops: Api) -> None:
    (identifier,) = sent(ops)
    answer = ops.ask(
        "POST", "/v1/destinations/relay/suspend", json={"seconds": 60, "reason": "maintenance"}
    )
    (row,) = answer.json["data"]
    assert (row["state"], row["reason"]) == ("suspended", "maintenance")
    (recipient,) = ops.ask("GET", f"/v1/messages/{identifier}").json["recipients"]
    assert recipient["waiting_for"] == "suspended"
    assert (recipient["next_attempt_at"], recipient["waiting_reason"]) == (
        row["until"], "maintenance",
    )  # fmt: skip
    assert ops.ask("POST", "/v1/destinations/relay/resume").json["data"][0]["state"] == "active"
    again = ops.ask("POST", "/v1/destinations/relay/resume")
    assert (again.status_code, again.json["code"]) == (409, "not_suspended")
    assert ops.ask("POST", "/v1/destinations/nowhere/suspend").status_code == 404
    assert ops.ask("POST", "/v1/destinations/relay/suspend").json["data"][0]["until"] is None


def test_wrong_fields_of_a_suspension(ops: Api) -> None:
    path = "/v1/destinations/relay/suspend"
    wrong = {"seconds": 0, "reason": "a\nb", "until": "x"}
    assert pointers(ops.ask("POST", path, json=wrong)) == [
        ("/until", "unknown_field"), ("/seconds", "bad_value"), ("/reason", "bad_value"),
    ]  # fmt: skip
    for seconds in (True, -1, 1.5, "60", 10**9):
        assert pointers(ops.ask("POST", path, json={"seconds": seconds})) == [
            ("/seconds", "bad_value")
        ]
    assert ops.ask("POST", path, data="{", content_type="application/json").status_code == 400
    (row,) = ops.ask("GET", "/v1/destinations/relay").json["data"]
    assert row["state"] == "idle"


def test_why_a_message_waits_for_a_relay_in_trouble(ops: Api) -> None:
    (identifier,) = sent(ops)
    asyncio.run(ops.store.queue.trouble("relay", "connect: connection refused", 1000, 60_000))
    (recipient,) = ops.ask("GET", f"/v1/messages/{identifier}").json["recipients"]
    assert recipient["waiting_for"] == "relay_trouble"
    assert recipient["waiting_reason"] == "connect: connection refused"
    (row,) = ops.ask("GET", "/v1/destinations").json["data"]
    assert (row["state"], row["strikes"]) == ("backing_off", 1)
    assert row["until"] == recipient["next_attempt_at"]
    ops.clock.advance(2)
    (row,) = ops.ask("GET", "/v1/destinations/relay").json["data"]
    assert row["state"] == "probing"
    assert row["reason"] == "connect: connection refused; probed by its next message"
    asyncio.run(ops.store.queue.claim("transactional", limit=1, quantum=1))
    (row,) = ops.ask("GET", "/v1/destinations").json["data"]
    assert (row["state"], row["in_flight"]) == ("probing", 1)
    assert row["reason"] == "connect: connection refused; being probed"


def test_flush(ops: Api) -> None:
    sent(ops, 3)
    settle_all(ops, Status.DEFERRED)
    path = "/v1/destinations/relay/flush"
    nothing = {"chosen": 0, "flushed": 0, "stand_still": []}
    assert ops.ask("POST", path, json={"class": "bulk"}).json == nothing
    dry = ops.ask("POST", path, json={"dry_run": True}).json
    assert dry == {"chosen": 3, "flushed": 0, "stand_still": []}
    ops.store.operations.suspend("relay", None, "")
    flushed = ops.ask("POST", path).json
    assert flushed == {"chosen": 3, "flushed": 3, "stand_still": ["relay"]}
    assert pointers(ops.ask("POST", path, json={"class": "x", "y": 1, "dry_run": 1})) == [
        ("/y", "unknown_field"), ("/class", "bad_value"), ("/dry_run", "wrong_type"),
    ]  # fmt: skip


def test_a_flush_that_breaks_in_the_middle_says_how_far_it_came(
    ops: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(ops, 5)
    settle_all(ops, Status.DEFERRED)
    monkeypatch.setattr(flushing, "STEP", 2)
    operations, path = ops.store.operations, "/v1/destinations/relay/flush"
    with monkeypatch.context() as patch:
        patch.setattr(operations, "flush", Failing(operations.flush, 1, StoreUnavailable("x")))
        assert ops.ask("POST", path).json["code"] == "unavailable"
    monkeypatch.setattr(operations, "flush", Failing(operations.flush, 2, OutcomeUnknown("x")))
    answer = ops.ask("POST", path)
    assert (answer.status_code, answer.json["code"]) == (503, "interrupted")
    told = [answer.json[name] for name in ("chosen", "flushed", "in_doubt")]
    assert told == [5, 2, 2]
    assert answer.json["detail"].startswith("2 of 5 and at most 2 more were done")
    assert ops.ask("POST", path).json["flushed"] == 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/destinations/relay//suspend", "/v1//destinations/relay/suspend",
        "//v1/destinations/relay/suspend", "/v1/destinations/relay/suspend/",
        "/v1/destinations//suspend", "/v1/dead-letters//drop", "/v1/dead-letters/drop/",
    ],
)  # fmt: skip
def test_a_path_with_a_slash_too_many_is_nowhere(ops: Api, path: str) -> None:
    answer = ops.ask("POST", path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.json["code"] == "not_found"


def test_what_takes_no_fields_says_so(ops: Api) -> None:
    unknown = "/v1/dead-letters/msg_" + "0" * 32
    for path in ("/v1/destinations", "/v1/destinations/relay", unknown):
        assert pointers(ops.ask("GET", f"{path}?limit=1")) == [("/limit", "unknown_field")]
    for path in ("destinations/relay/suspend", "destinations/relay/flush", "dead-letters/drop"):
        answer = ops.ask("POST", f"/v1/{path}?seconds=5", json={})
        assert pointers(answer) == [("/seconds", "unknown_field")]
    (row,) = ops.ask("GET", "/v1/destinations/relay").json["data"]
    assert row["state"] == "idle"
    answer = ops.ask("POST", "/v1/destinations/relay/resume", json={"class": "bulk"})
    assert pointers(answer) == [("/class", "unknown_field")]


def test_dead_letters_tell_their_cause_and_every_attempt(ops: Api) -> None:
    (identifier,) = sent(ops, to=["a@b.test", "c@d.test"])
    for _ in range(7):
        settle_all(ops, Status.DEFERRED)
        ops.store.operations.flush("relay", "transactional", 10)
    settle_all(ops, Status.DEAD, "unreadable", answered=False)
    (row,) = ops.ask("GET", "/v1/dead-letters").json["data"]
    assert (row["id"], row["kind"], row["cause"]) == (identifier, "dead", "unreadable")
    assert row["recipients"] == ["a@b.test", "c@d.test"]
    (whole,) = ops.ask("GET", f"/v1/dead-letters/{identifier}").json["data"]
    assert [(each["address"], each["outcome"]) for each in whole["attempts"]] == [
        (address, outcome)
        for outcome in (*["deferred"] * 7, "dead")
        for address in ("a@b.test", "c@d.test")
    ]
    assert whole["attempts"][-1]["note"] == "unreadable"
    assert "missing or damaged" in whole["explanation"]
    (other,) = sent(ops)
    assert ops.ask("GET", f"/v1/dead-letters/{other}").status_code == 404
    assert ops.ask("GET", "/v1/dead-letters/nonsense").status_code == 404


def test_dead_letters_come_in_pages(ops: Api) -> None:
    ids = set_aside(ops, 5)
    found, cursor = [], ""
    while True:
        body = ops.ask("GET", f"/v1/dead-letters?limit=2{cursor}").json
        found += [each["id"] for each in body["data"]]
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert found == ids[::-1]
    since = "since=2020-01-01T00:00:00+02:00"
    assert len(ops.ask("GET", f"/v1/dead-letters?{since}").json["data"]) == 5
    twice = "cause=a&cause=b&limit=1&limit=2"
    assert pointers(ops.ask("GET", f"/v1/dead-letters?{twice}")) == [
        ("/cause", "bad_value"), ("/limit", "bad_value"),
    ]  # fmt: skip
    wrong = "limit=0&cursor=zz&kind=x&class=y&since=1&what=2"
    assert pointers(ops.ask("GET", f"/v1/dead-letters?{wrong}")) == [
        ("/limit", "bad_value"), ("/cursor", "bad_value"), ("/what", "unknown_field"),
        ("/since", "bad_time"), ("/kind", "bad_value"), ("/class", "bad_value"),
    ]  # fmt: skip


def test_requeue_by_cause_after_a_dry_run(ops: Api) -> None:
    poison = set_aside(ops, 2)
    set_aside(ops, 1, "unreadable")
    path = "/v1/dead-letters/requeue"
    dry = {"cause": "poison", "dry_run": True}
    assert ops.ask("POST", path, json=dry).json == came_of(2, 0)
    assert ops.store.spool.depth().dead_legs == 3
    chosen = ops.ask("POST", path, json={"cause": "poison"}).json
    assert chosen == came_of(2, 2)
    for identifier in poison:
        (recipient,) = ops.ask("GET", f"/v1/messages/{identifier}").json["recipients"]
        assert recipient["status"] == "queued"
    assert ops.ask("POST", path, json={"ids": poison}).json["chosen"] == 0


def test_uncertain_is_resent_or_dropped(ops: Api) -> None:
    ids = set_aside(ops, 2, "connection lost", on_uncertain="hold")
    assert ops.ask("GET", "/v1/dead-letters").json["data"] == []
    body = ops.ask("GET", "/v1/dead-letters?kind=uncertain&cause=connection+lost").json
    assert [each["id"] for each in body["data"]] == ids[::-1]
    assert ops.ask("POST", "/v1/dead-letters/requeue", json={"ids": ids[:1]}).json["done"] == 1
    dropped = ops.ask("POST", "/v1/dead-letters/drop", json={"kind": "uncertain", "all": True})
    assert dropped.json == came_of(1, 1)
    statuses = [
        ops.ask("GET", f"/v1/messages/{each}").json["recipients"][0]["status"] for each in ids
    ]
    assert statuses == ["queued", "cancelled"]


def test_an_overdue_dead_letter_is_told(ops: Api) -> None:
    set_aside(ops, 1, deliver_by="2027-01-15T08:00:10Z")
    ops.clock.advance(60)
    body = {"all": True, "dry_run": True}
    assert ops.ask("POST", "/v1/dead-letters/requeue", json=body).json["overdue"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("", "required")]),
        ({"kind": "dead"}, [("", "required")]),
        ({"dry_run": True}, [("", "required")]),
        ({"all": 1}, [("/all", "wrong_type"), ("", "required")]),
        ({"ids": []}, [("/ids", "bad_value")]),
        ({"ids": ["x", 1]}, [("/ids/0", "bad_value"), ("/ids/1", "bad_value")]),
        ({"cause": 1, "extra": 2}, [("/extra", "unknown_field"), ("/cause", "wrong_type")]),
        ({"cause": "a", "dry_run": "yes"}, [("/dry_run", "wrong_type")]),
        ({"since": "now", "all": True}, [("/since", "bad_time")]),
        (
            {"since": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            [("/until", "bad_value")],
        ),
        ({"cursor": "1-2"}, [("/cursor", "bad_value"), ("", "required")]),
        ({"cursor": f"1-{'0' * 36}"}, [("", "required")]),
        ({"cursor": f"1-{'0' * 36}", "ids": ["msg_" + "0" * 32]}, [("/cursor", "bad_value")]),
    ],
)
def test_a_wrong_decision_changes_nothing(ops: Api, body: Any, expected: Any) -> None:
    set_aside(ops, 1)
    for path in ("/v1/dead-letters/requeue", "/v1/dead-letters/drop"):
        assert pointers(ops.ask("POST", path, json=body)) == expected
    assert ops.store.spool.depth().dead_legs == 1


class Failing:
    """A method of the store that fails in its n-th call."""

    def __init__(self, method: Any, call: int, error: Exception) -> None:
        self._method = method
        self._left = call
        self._error = error

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise self._error
        return self._method(*arguments, **options)


@pytest.mark.parametrize("verb", ["drop", "requeue"])
@pytest.mark.parametrize(
    ("error", "in_doubt"), [(OutcomeUnknown("x"), 2), (StoreUnavailable("x"), 0)]
)
def test_a_decision_that_breaks_in_the_middle_says_how_far_it_came(
    ops: Api, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception, in_doubt: int
) -> None:
    set_aside(ops, 7)
    monkeypatch.setattr(redrive, "BATCH", 2)
    failing = Failing(getattr(ops.store.operations, verb), 3, error)
    monkeypatch.setattr(ops.store.operations, verb, failing)
    answer = ops.ask("POST", f"/v1/dead-letters/{verb}", json={"all": True})
    assert (answer.status_code, answer.json["code"]) == (503, "interrupted")
    assert (answer.json["done"], answer.json["chosen"]) == (4, 7)
    assert answer.json["in_doubt"] == in_doubt
    assert "Idempotency-Key" not in answer.json["detail"]
    assert answer.headers["Retry-After"]
    assert ops.store.spool.depth().dead_legs == 3
    again = ops.ask("POST", f"/v1/dead-letters/{verb}", json={"all": True})
    assert again.json == came_of(3, 3)


@pytest.mark.parametrize(
    ("method", "error", "code"),
    [
        ("drop", StoreUnavailable("x"), "unavailable"),
        ("aside", OutcomeUnknown("x"), "unavailable"),
        ("drop", OutcomeUnknown("x"), "interrupted"),
    ],
)
def test_a_decision_that_never_began_did_nothing(
    ops: Api, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception, code: str
) -> None:
    set_aside(ops, 2)
    monkeypatch.setattr(
        ops.store.operations, method, Failing(getattr(ops.store.operations, method), 1, error)
    )
    answer = ops.ask("POST", "/v1/dead-letters/drop", json={"all": True})
    assert (answer.status_code, answer.json["code"]) == (503, code)


def test_one_request_decides_about_a_window(ops: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    set_aside(ops, 3)
    poison = set_aside(ops, 4, "unreadable")
    monkeypatch.setattr(redrive, "PAGE", 2)
    monkeypatch.setattr(redrive, "WINDOW", 4)
    path = "/v1/dead-letters/drop"
    page = ops.ask("GET", "/v1/dead-letters?cause=poison").json
    assert page["data"] == []
    page = ops.ask("GET", f"/v1/dead-letters?cause=poison&cursor={page['next_cursor']}").json
    assert len(page["data"]) == 3
    first = ops.ask("POST", path, json={"cause": "poison"}).json
    assert (first["chosen"], first["done"]) == (0, 0)
    rest = {"cause": "poison", "cursor": first["next_cursor"]}
    assert ops.ask("POST", path, json={**rest, "dry_run": True}).json == came_of(3, 0)
    assert ops.ask("POST", path, json=rest).json == came_of(3, 3)
    left = ops.ask("GET", "/v1/dead-letters").json
    assert [each["id"] for each in left["data"]] == poison[::-1]


def test_only_accepting_speaks_of_acceptance(ops: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    (identifier,) = sent(ops)
    operations, spool = ops.store.operations, ops.store.spool
    unknown = OutcomeUnknown("x")
    for method, path, owner, name, code in (
        ("GET", "/v1/destinations", operations, "destinations", "unavailable"),
        ("POST", "/v1/destinations/relay/suspend", operations, "destinations", "unavailable"),
        ("POST", "/v1/destinations/relay/suspend", operations, "suspend", "outcome_unknown"),
        ("POST", "/v1/destinations/relay/resume", operations, "resume", "outcome_unknown"),
        ("GET", f"/v1/messages/{identifier}", spool, "get", "unavailable"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, Failing(getattr(owner, name), 1, unknown))
            answer = ops.ask(method, path)
        assert (answer.status_code, answer.json["code"]) == (503, code), (path, name)
        assert "Idempotency-Key" not in answer.json["detail"]
    monkeypatch.setattr(
        operations, "destinations", Failing(operations.destinations, 2, StoreUnavailable("x"))
    )
    answer = ops.ask("POST", "/v1/destinations/relay/suspend")
    assert answer.json["code"] == "outcome_unknown", "it is suspended: only the look at it failed"
    monkeypatch.undo()
    ops.context.authenticator._cached.clear()
    monkeypatch.setattr(ops.store.keys, "find", Failing(ops.store.keys.find, 1, unknown))
    assert ops.send(message()).json["code"] == "unavailable"


def test_an_unknown_field_is_told_every_known_one(ops: Api) -> None:
    for answer, names in (
        (ops.ask("GET", "/v1/dead-letters?x=1"), {"limit", "cursor", "cause"}),
        (
            ops.ask("POST", "/v1/dead-letters/drop", json={"x": 1}),
            {"ids", "all", "dry_run", "cursor"},
        ),
    ):
        (error,) = answer.json["errors"]
        assert names <= set(error["detail"].removeprefix("Known: ").rstrip(".").split(", "))
