"""Limits by the API: what holds, setting and clearing it, and every wrong field at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from shared.hops import DestinationLimit
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings
from shared.store.keys import SCOPES
from shared.store.limits import Override
from shared.times import shown
from tests.support.api import Api
from tests.support.system import message
from tests.unit.web.test_operator_api import pointers

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("relay", "spare"))
ROUTES = (
    RouteSettings(name="own", relay="spare", source_address="127.0.0.2", tags=("own",)),
    RouteSettings(name="shared", relay="spare", tags=("shared",)),
    RouteSettings(name="world", direct=True, tags=("world",)),
)


def api_with(*routes: RouteSettings) -> Api:
    found = Api(Settings(relay=RELAYS, route=routes))
    found.key = found.new_key("ops", scopes=SCOPES)
    return found


@pytest.fixture
def ops() -> Iterator[Api]:
    found = api_with(*ROUTES)
    yield found
    found.close()


def path(name: str) -> str:
    return f"/v1/destinations/{name}/limit"


def limits(answer: Any) -> dict[str, tuple[Any, ...]]:
    assert answer.status_code == 200, answer.json
    return {
        each["name"]: (each["limit"], each["configured"], each["from"])
        for each in answer.json["limits"]
    }


@pytest.mark.parametrize("name", ["relay", "@own", "mx:*", "mx:mx.shop.test", "mx:mx.a~x1-2"])
def test_a_limit_is_set_told_and_cleared(ops: Api, name: str) -> None:
    asyncio.run(ops.store.queue.limit(name, DestinationLimit(per_second=9.0, per_minute=60)))
    assert limits(ops.ask("GET", path(name))) == {
        "per_second": (9.0, 9.0, "configured"), "per_minute": (60, 60, "configured"),
    }  # fmt: skip
    body = {"per_second": 2, "per_minute": 0, "connections": 3, "seconds": 60, "reason": "asked to"}
    answer = ops.ask("PUT", path(name), json=body)
    assert limits(answer) == {
        "per_second": (2.0, 9.0, "operator"), "per_minute": (None, 60, "operator"),
        "connections": (3, None, "operator"),
    }  # fmt: skip
    until = shown(ops.clock.now_ms() + 60_000)
    assert answer.json["operator"] == {"until": until, "reason": "asked to"}
    assert answer.json["destination"] == name
    (first, *_) = answer.json["limits"]
    assert (first["until"], first["reason"]) == (until, "asked to")
    assert ops.ask("PUT", path(name), json={"per_day": 5}).json["operator"]["until"] is None
    assert set(limits(ops.ask("GET", path(name)))) == {"per_second", "per_minute", "per_day"}
    assert limits(ops.ask("DELETE", path(name))) == {
        "per_second": (9.0, 9.0, "configured"), "per_minute": (60, 60, "configured"),
    }  # fmt: skip
    again = ops.ask("DELETE", path(name))
    assert (again.status_code, again.json["code"]) == (409, "no_limit_set")


def test_a_limit_ends_by_itself(ops: Api) -> None:
    ops.ask("PUT", path("relay"), json={"per_hour": 1, "seconds": 60})
    ops.clock.advance(59)
    assert limits(ops.ask("GET", path("relay"))) == {"per_hour": (1, None, "operator")}
    ops.clock.advance(2)
    assert limits(ops.ask("GET", path("relay"))) == {}


def test_what_is_used_is_told_with_the_destination(ops: Api) -> None:
    ops.ask("PUT", path("relay"), json={"per_hour": 2, "reason": "new address"})
    for _ in range(3):
        ops.send(message())
    asyncio.run(ops.store.queue.claim("transactional", limit=9, quantum=9))
    asyncio.run(ops.store.queue.claim("transactional", limit=9, quantum=9))
    (row,) = ops.ask("GET", "/v1/destinations/relay").json["data"]
    assert row["state"] == "limited"
    assert row["limits"] == [
        {"of": "relay", "name": "per_hour", "limit": 2, "used": 2, "configured": None,
         "from": "operator", "until": None, "reason": "new address"}
    ]  # fmt: skip
    rows = ops.ask("GET", "/v1/destinations").json["data"]
    assert {each["destination"] for each in rows if each["limits"]} == {"relay"}
    ops.ask("PUT", path("relay"), json={"connections": 2})
    (row,) = ops.ask("GET", "/v1/destinations/relay").json["data"]
    assert (row["limits"][0]["name"], row["limits"][0]["used"]) == ("connections", 0)


def test_limits_of_an_idle_hop_and_of_its_route_are_told(ops: Api) -> None:
    ops.ask("PUT", path("@own"), json={"per_minute": 7})
    ops.ask("PUT", path("spare"), json={"per_second": 3})
    rows = {each["destination"]: each for each in ops.ask("GET", "/v1/destinations").json["data"]}
    assert [(each["of"], each["limit"]) for each in rows["spare@own"]["limits"]] == [
        ("spare", 3.0), ("@own", 7),
    ]  # fmt: skip
    assert [each["of"] for each in rows["spare"]["limits"]] == ["spare"]
    assert rows["spare"]["rate_limit"] == 3.0


def test_how_far_replies_have_slowed_it_down_is_told(ops: Api) -> None:
    asyncio.run(ops.store.queue.limit("relay", DestinationLimit(per_second=8.0)))
    asyncio.run(ops.store.queue.trouble("relay", "421 slow down", 0, 0, slow=True))
    answer = ops.ask("GET", path("relay"))
    assert limits(answer) == {"per_second": (4.0, 8.0, "slowed")}
    assert answer.json["slowed"]["steps"] == 1
    assert answer.json["limits"][0]["until"] == answer.json["slowed"]["until"]


def test_every_wrong_field_is_told(ops: Api) -> None:
    wrong = {
        "per_second": -1, "concurrency": 1.5, "per_minute": True, "per_hour": "x", "per_day": -1,
        "connections": 10**9, "connections_per_second": 1e-9, "seconds": 0, "reason": "a\nb",
        "weight": 2,
    }  # fmt: skip
    assert pointers(ops.ask("PUT", path("relay"), json=wrong)) == [
        ("/weight", "unknown_field"),
        *((f"/{name}", "bad_value") for name in (
            "per_second", "concurrency", "per_minute", "per_hour", "per_day", "connections",
            "connections_per_second", "seconds", "reason")),
    ]  # fmt: skip
    for body in ({}, {"seconds": 60}, {"per_second": None}):
        assert pointers(ops.ask("PUT", path("relay"), json=body)) == [("", "required")]
    for number in (0.0009, 1_000_001, True, "5", [1]):
        answer = ops.ask("PUT", path("relay"), json={"per_second": number})
        assert pointers(answer) == [("/per_second", "bad_value")]
    assert limits(ops.ask("GET", path("relay"))) == {}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "There are limits of relay, spare, @own, mx:*, mx:SITE."),
        ("spare@own", "It has the limits of spare and @own"),
        ("pool:x", "There are limits of"),
        ("@shared", "No such route has hops of its own"),
        ("@nowhere", "No such route"),
        ("mx:%3F", "There are limits of"),
        ("mx:A.test", "There are limits of"),
        ("mx:a.test@own", "It has the limits of @own"),
    ],
)
def test_what_has_no_limit_is_not_found(ops: Api, name: str, says: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = ops.ask(method, path(name), json={"per_second": 1})
        assert answer.status_code == 404, method
        assert says in answer.json["detail"]


def test_without_direct_delivery_no_site_has_a_limit() -> None:
    api = api_with()
    for name in ("mx:*", "mx:a.test"):
        answer = api.ask("PUT", path(name), json={"per_second": 1})
        assert (answer.status_code, "of relay, spare." in answer.json["detail"]) == (404, True)
    api.close()


def test_a_site_is_told_by_name_without_mail(ops: Api) -> None:
    ops.store.operations.set_limit("mx:mx.shop.test", Override(per_hour=5))
    (row,) = ops.ask("GET", "/v1/destinations/mx:mx.shop.test").json["data"]
    assert (row["state"], row["limits"][0]["limit"]) == ("idle", 5)
    for wrong in ("mx:mx.shop.test@nix", "mx:UP", "mx:"):
        assert ops.ask("GET", f"/v1/destinations/{wrong}").status_code == 404
    listed = ops.ask("GET", "/v1/destinations").json["data"]
    assert "mx:mx.shop.test" not in [each["destination"] for each in listed]


@pytest.mark.parametrize("kind", [None, "application/json"])
def test_a_body_that_may_be_left_out_may_be_so_with_a_type(ops: Api, kind: str | None) -> None:
    for verb, status in (("suspend", 200), ("resume", 200), ("resume", 409), ("flush", 200)):
        url = f"/v1/destinations/relay/{verb}"
        assert ops.ask("POST", url, content_type=kind).status_code == status
    wrong = ops.ask("POST", "/v1/destinations/relay/resume", data=b"{", content_type=kind)
    assert wrong.status_code in (400, 415)
