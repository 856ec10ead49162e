"""The description itself: valid OpenAPI 3.1, whole, with examples that work, served as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.clock import ManualClock
from shared.feedback.tokens import Tokens
from shared.feedback_settings import FeedbackSettings, UnsubscribeSettings
from shared.outgoing_settings import RelaySettings
from shared.settings import Settings, WebSettings
from shared.store.keys import SCOPES
from shared.times import shown
from tests.support.api import Api
from tests.support.described import Description, description
from tests.support.system import message
from web.openapi.document import document, groups
from web.openapi.operation import Operation

SPECIFICATION = Path(__file__).parents[3] / "support" / "openapi-3.1.json"
WEB = WebSettings()
DOCUMENT = document(WEB)
OPERATIONS = [each for group in groups(WEB) for each in group.operations]
KEY = "k" * 32
IN_AN_HOUR = shown(ManualClock().now_ms() + 3_600_000)
EXAMPLES = [
    pytest.param(each, value, id=f"{each.name}: {name}")
    for each in OPERATIONS
    if each.body is not None
    for name, value in each.body.examples.items()
]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(each)


def _schemas() -> Iterator[dict[str, Any]]:
    yield from DOCUMENT["components"]["schemas"].values()
    for node in _nodes(DOCUMENT["paths"]):
        if isinstance(node.get("schema"), dict):
            yield node["schema"]


def test_it_is_valid_openapi() -> None:
    specification = json.loads(SPECIFICATION.read_text())
    found = [error.message for error in Draft202012Validator(specification).iter_errors(DOCUMENT)]
    assert not found


def test_every_schema_is_valid_json_schema() -> None:
    found = list(_schemas())
    assert len(found) > 100
    for each in found:
        Draft202012Validator.check_schema(each)


def test_what_is_referred_to_is_there_and_is_used() -> None:
    there = DOCUMENT["components"]["schemas"]
    named = {
        node["$ref"].rpartition("/")[2]
        for node in _nodes(DOCUMENT)
        if node.get("$ref", "").startswith("#/components/schemas/")
    }
    assert named == set(there)


@pytest.mark.parametrize("each", OPERATIONS, ids=lambda each: each.name)
def test_an_operation_is_whole(each: Operation) -> None:
    in_path = {one["name"] for one in each.parameters if one["in"] == "path"}
    assert in_path == {part.strip("{}") for part in each.path.split("/") if part.startswith("{")}
    assert (each.scopes is None) == (not each.path.startswith("/v1/"))
    if each.body is not None:
        assert each.body.examples
    for answer in each.answers.values():
        if answer.media_type == "application/json" and answer.schema not in (
            None,
            {"type": "object"},
        ):
            assert answer.example is not None, "an answer without an example"


@pytest.mark.parametrize("each", OPERATIONS, ids=lambda each: each.name)
def test_examples_of_answers_are_as_they_are_described(each: Operation) -> None:
    told = description(WEB)
    for status, answer in each.answers.items():
        if answer.example is not None:
            place = ("responses", str(status), "content", answer.media_type, "schema")
            wrong = told.wrong(answer.example, "paths", each.path, each.method.lower(), *place)
            assert not wrong


@pytest.fixture
def ready() -> Iterator[Api]:
    """An installation with two relays and unsubscribe links, and a key that may do everything."""
    relays = tuple(
        RelaySettings(name=each, url="smtp://127.0.0.1:1") for each in ("relay", "spare")
    )
    found = Api(
        Settings(
            relay=relays,
            feedback=FeedbackSettings(key=KEY),
            unsubscribe=UnsubscribeSettings(url="https://mail.shop.test"),
        )
    )
    found.key = found.new_key("shop", scopes=SCOPES)
    yield found
    found.close()


@pytest.mark.parametrize(("each", "value"), EXAMPLES)
def test_examples_of_requests_are_taken(ready: Api, each: Operation, value: Any) -> None:
    if each.name == "resumeDestination":
        ready.ask("POST", "/v1/destinations/relay/suspend", json={})
    path = each.path.replace("{name}", "relay")
    if "{id}" in path:
        path = path.replace("{id}", ready.send(message(send_at=IN_AN_HOUR)).json["id"])
    path = path.replace("{token}", Tokens([KEY.encode()]).unsubscribe("shop", "news", "a@b.test"))
    assert each.body is not None
    options: dict[str, Any] = {"json": value}
    if each.body.media_type != "application/json":
        options = {"data": value, "content_type": each.body.media_type}
    answer = ready.ask(each.method, path, **options)
    assert answer.status_code in each.answers, answer.get_data()
    assert answer.status_code < 300
    place = ("requestBody", "content", each.body.media_type, "schema")
    assert not description(WEB).wrong(value, "paths", each.path, each.method.lower(), *place)


def test_it_has_the_limits_of_the_installation() -> None:
    few = document(WebSettings(max_batch_messages=7))
    assert few["components"]["schemas"]["Batch"]["properties"]["messages"]["maxItems"] == 7


def test_anybody_may_have_it_and_need_not_fetch_it_twice(api: Api) -> None:
    first = api.client.get("/openapi.json")
    assert first.json == DOCUMENT
    assert (first.content_type, first.headers["Cache-Control"]) == ("application/json", "no-cache")
    again = api.client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = api.client.get("/openapi.json", headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.data) == (200, first.data)


def test_every_other_answer_is_kept_by_nobody(api: Api) -> None:
    for path in ("/livez", "/v1/quota", "/nothing"):
        assert api.client.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("components", "schemas", "Receipt"), {"id": "msg_1", "status": "queued"}),
        (("components", "schemas", "RecipientStatus"), {"address": "a", "status": "lost"}),
        (("components", "schemas", "RecipientStatus"), {"address": "a", "status": "dead", "x": 1}),
        (("components", "schemas", "Message"), message(subjct="Hello")),
        (("components", "schemas", "Message"), {"from": "a@b.test"}),
    ],
)
def test_the_comparison_sees_what_is_wrong(place: tuple[str, ...], value: object) -> None:
    assert Description(WEB).wrong(value, *place)
