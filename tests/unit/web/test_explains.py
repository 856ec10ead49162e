"""What a message tells of its way: route, destination, site, and what keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from shared.hops import DestinationLimit
from shared.model.leg import Leg
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings
from shared.store.keys import SCOPES
from shared.store.ports import Claimed
from tests.support.api import Api
from tests.support.system import message

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("relay", "spare"))
ROUTES = (
    RouteSettings(name="partner", relay="spare", recipient_domains=("partner.test",)),
    RouteSettings(name="pair", relays=("relay", "spare"), tags=("pair",)),
    RouteSettings(name="world", direct=True, tags=("world",)),
)


@pytest.fixture
def ops() -> Iterator[Api]:
    found = Api(Settings(relay=RELAYS, route=ROUTES))
    found.key = found.new_key("ops", scopes=SCOPES)
    yield found
    found.close()


def told(api: Api, identifier: str, *names: str) -> list[tuple[Any, ...]]:
    found = api.ask("GET", f"/v1/messages/{identifier}").json["recipients"]
    return [tuple(each[name] for name in names) for each in found]


def claim(api: Api) -> tuple[Claimed, ...]:
    async def work() -> tuple[Claimed, ...]:
        return (await api.store.queue.claim("transactional", limit=9, quantum=9)).legs

    return asyncio.run(work())


def test_each_recipient_has_a_route_of_its_own(ops: Api) -> None:
    identifier = ops.send(message(to=["a@b.test", "c@partner.test"])).json["id"]
    assert told(ops, identifier, "route", "destination", "site", "via", "waiting_for") == [
        (None, "relay", None, None, "a_worker"),
        ("partner", "spare", None, None, "a_worker"),
    ]


def test_a_leg_of_a_pool_tells_which_member_has_it(ops: Api) -> None:
    asyncio.run(ops.store.queue.pools(ops.context.routes.pools))
    identifier = ops.send(message(tags=["pair"])).json["id"]
    names = ("route", "destination", "via", "waiting_for")
    assert told(ops, identifier, *names) == [("pair", "pool:pair", None, "a_worker")]
    claim(ops)
    assert told(ops, identifier, *names) == [("pair", "pool:pair", "relay", "in_flight")]


def test_direct_mail_tells_its_site_once_dns_has_said_it(ops: Api) -> None:
    identifier = ops.send(message(tags=["world"])).json["id"]
    names = ("route", "destination", "site", "waiting_for")
    assert told(ops, identifier, *names) == [("world", "mx:?", None, "a_worker")]
    (claimed,) = claim(ops)
    parts = [Leg(claimed.leg.state, "transactional", "mx:mx.b.test@+sts~x", claimed.leg.statuses)]
    asyncio.run(ops.store.queue.split(claimed.leg_id, claimed.fence, parts))
    assert told(ops, identifier, *names) == [
        ("world", "mx:mx.b.test@+sts~x", "mx.b.test", "a_worker")
    ]


def test_a_limit_is_told_with_its_name_and_time(ops: Api) -> None:
    asyncio.run(ops.store.queue.limit("relay", DestinationLimit(per_minute=1)))
    ids = [ops.send(message()).json["id"] for _ in range(2)]
    claim(ops)
    claim(ops)
    names = ("waiting_for", "waiting_reason")
    assert told(ops, ids[1], *names) == [("limit", "per_minute of relay")]
    ((until,),) = told(ops, ids[1], "next_attempt_at")
    assert until is not None
    ops.clock.advance(62)
    assert told(ops, ids[1], *names) == [("a_worker", None)]


def test_a_pool_tells_how_its_members_are(ops: Api) -> None:
    asyncio.run(ops.store.queue.pools(ops.context.routes.pools))
    ops.send(message(tags=["pair"]))
    assert claim(ops)
    ops.store.operations.suspend("spare", None, "moved")
    found = ops.ask("GET", "/v1/destinations/pool:pair").json
    assert [each["destination"] for each in found["data"]] == ["pool:pair"]
    assert found["members"] == [
        {"destination": "relay", "weight": 1, "state": "active", "until": None, "reason": None,
         "in_flight": 1},
        {"destination": "spare", "weight": 1, "state": "suspended", "until": None,
         "reason": "moved", "in_flight": 0},
    ]  # fmt: skip
    assert "members" not in ops.ask("GET", "/v1/destinations/relay").json
