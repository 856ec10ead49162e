"""Moving mail by the API: what it answers, what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from shared import moving
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings
from shared.store.keys import SCOPES
from tests.support.api import Api
from tests.support.system import message
from tests.unit.web.test_operator_api import Failing, pointers, sent

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("relay", "spare"))
ROUTES = (
    RouteSettings(name="pair", relays=("relay", "spare"), tags=("pair",)),
    RouteSettings(name="own", relay="spare", source_address="127.0.0.2", tags=("own",)),
    RouteSettings(name="world", direct=True, tags=("world",)),
)
PATH = "/v1/destinations/relay/move"


@pytest.fixture
def ops() -> Iterator[Api]:
    """The API with two relays, some routes and an operator's key."""
    found = Api(Settings(relay=RELAYS, route=ROUTES))
    found.key = found.new_key("ops", scopes=SCOPES)
    yield found
    found.close()


def ready(api: Api) -> dict[str, int]:
    rows = api.ask("GET", "/v1/destinations").json["data"]
    return {each["destination"]: each["ready"] for each in rows if each["ready"]}


@pytest.mark.parametrize("to", ["spare", "pool:pair", "spare@own", "mx:?"])
def test_mail_is_moved_to_every_kind_of_hop(ops: Api, to: str) -> None:
    sent(ops, 3)
    body = {"to": to, "chosen": 3, "moved": 3, "stay": 0, "same": 0, "stand_still": []}
    dry = ops.ask("POST", PATH, json={"to": to, "dry_run": True})
    assert dry.json == body | {"moved": 0}
    assert ready(ops) == {"relay": 3}
    assert ops.ask("POST", PATH, json={"to": to}).json == body
    assert ready(ops) == {to: 3}
    back = ops.ask("POST", f"/v1/destinations/{quote(to)}/move", json={"to": "routes"})
    assert (back.status_code, back.json["moved"]) == (200, 3)
    assert ready(ops) == {"relay": 3}


def test_only_a_part_is_moved(ops: Api) -> None:
    sent(ops, 2)
    sent(ops, 2, **{"class": "bulk"})
    answer = ops.ask("POST", PATH, json={"to": "spare", "class": "bulk", "limit": 1})
    assert (answer.json["chosen"], answer.json["moved"]) == (1, 1)
    nobody = ops.ask("POST", PATH, json={"to": "spare", "application": "nobody"})
    assert nobody.json["chosen"] == 0
    assert ops.ask("POST", PATH, json={"to": "spare", "application": "ops"}).json["moved"] == 3


def test_hops_that_stand_still_are_told(ops: Api) -> None:
    sent(ops, 1)
    ops.store.operations.suspend("spare", None, "")
    assert ops.ask("POST", PATH, json={"to": "spare"}).json["stand_still"] == ["spare"]


def test_a_message_tells_that_it_was_moved(ops: Api) -> None:
    (identifier,) = sent(ops, 1)
    ops.ask("POST", PATH, json={"to": "spare"})
    (recipient,) = ops.ask("GET", f"/v1/messages/{identifier}").json["recipients"]
    assert (recipient["destination"], recipient["attempt_count"]) == ("spare", 0)
    assert [(each["via"], each["note"]) for each in recipient["attempts"]] == [
        ("relay", "moved; to spare")
    ]


def test_every_wrong_field_is_told(ops: Api) -> None:
    wrong = {"to": "relay", "class": "x", "application": 1, "limit": 0, "now": 1, "uncertain": "",
             "dry_run": None, "why": ""}  # fmt: skip
    assert pointers(ops.ask("POST", PATH, json=wrong)) == [
        ("/why", "unknown_field"), ("/to", "bad_value"), ("/class", "bad_value"),
        ("/application", "wrong_type"), ("/limit", "bad_value"), ("/now", "wrong_type"),
        ("/uncertain", "wrong_type"), ("/dry_run", "wrong_type"),
    ]  # fmt: skip
    assert pointers(ops.ask("POST", PATH)) == [("/to", "required")]
    for to in ("nowhere", "spare@nowhere", "pool:nowhere", "mx:a.test", "", None, 1, ["spare"]):
        assert pointers(ops.ask("POST", PATH, json={"to": to})) == [("/to", "bad_value")]
    answer = ops.ask("POST", "/v1/destinations/nowhere/move", json={"to": "spare"})
    assert answer.status_code == 404
    assert pointers(ops.ask("POST", f"{PATH}?to=spare", json={})) == [("/to", "unknown_field")]


def test_what_breaks_in_the_middle_says_how_far_it_came(
    ops: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(ops, 5)
    monkeypatch.setattr(moving, "STEP", 2)
    operations = ops.store.operations
    with monkeypatch.context() as patch:
        patch.setattr(operations, "move", Failing(operations.move, 1, StoreUnavailable("x")))
        answer = ops.ask("POST", PATH, json={"to": "spare"})
        assert answer.json["code"] == "unavailable"
    monkeypatch.setattr(operations, "move", Failing(operations.move, 2, OutcomeUnknown("x")))
    answer = ops.ask("POST", PATH, json={"to": "spare"})
    assert (answer.status_code, answer.json["code"]) == (503, "interrupted")
    assert [answer.json[name] for name in ("chosen", "moved", "in_doubt")] == [4, 2, 2]
    assert ops.ask("POST", PATH, json={"to": "spare"}).json["moved"] == 3


def test_in_flight_stays(ops: Api) -> None:
    async def claim() -> None:
        await ops.store.queue.claim("transactional", limit=1, quantum=1)

    ops.send(message())
    asyncio.run(claim())
    assert ops.ask("POST", PATH, json={"to": "spare"}).json["chosen"] == 0
