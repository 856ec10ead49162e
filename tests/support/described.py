"""A Flask test client that holds every answer to the API's description.

Status, type, headers and body must be as `web/openapi` says, with no field that it does not have;
the body and the query of a request that succeeded must be allowed by it, too. So each test of the
API is one of its description.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from shared.settings import WebSettings
from shared.times import parsed
from web.openapi.document import document
from web.openapi.problems import CODES

_ROOT = "urn:posthaste:openapi"
FORMATS = FormatChecker(formats=())
PROBLEM = "application/problem+json"


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or parsed(value) is not None


FORMATS.checks("date-time", raises=ValueError)(_is_time)


class Description:
    """The document with validators of its parts."""

    def __init__(self, web: WebSettings) -> None:
        self.document = document(web)
        resource = DRAFT202012.create_resource(strict(self.document))
        self._registry: Registry[Any] = Registry().with_resource(_ROOT, resource)
        self._validators: dict[tuple[str, ...], Draft202012Validator] = {}

    def wrong(self, value: object, *place: str) -> list[str]:
        """What is wrong with a value by the schema at a place of the document."""
        if place not in self._validators:
            tokens = (each.replace("~", "~0").replace("/", "~1") for each in place)
            pointer = "/".join(each.replace("{", "%7B").replace("}", "%7D") for each in tokens)
            self._validators[place] = Draft202012Validator(
                {"$ref": f"{_ROOT}#/{pointer}"}, registry=self._registry, format_checker=FORMATS
            )
        return [
            f"{error.json_path}: {error.message[:300]}"
            for error in self._validators[place].iter_errors(value)
        ]


@lru_cache
def description(web: WebSettings) -> Description:
    """One for each set of limits."""
    return Description(web)


def strict(node: Any) -> Any:
    """The same, where objects have no other fields than those that are described."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: strict(each) for name, each in node.items()}
    if isinstance(node.get("properties"), dict) and ("type" in node or "$ref" in node):
        if "$ref" in node:
            found["unevaluatedProperties"] = False
        elif "request_id" not in node["properties"] or "code" not in node["properties"]:
            found.setdefault("additionalProperties", False)
    return found


class DescribedClient(FlaskClient):
    """The usual client, and the comparison. What the description does not allow is a failure."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Ask, compare, answer."""
        sent = options.get("json")
        response = super().open(*args, **options)
        found = list(self._differences(response, sent))
        assert not found, f"{response.request.method} {response.request.path}: {found}"
        return response

    def _differences(self, response: TestResponse, sent: object) -> Iterator[str]:
        request = response.request
        if request.method == "OPTIONS":
            return
        told = description(self.application.config["DESCRIBED"])
        if "X-Request-Id" not in response.headers:
            yield "there is no X-Request-Id"
        path = _path(self, response)
        if path is None:
            yield from _undescribed(told, response)
            return
        method = "get" if request.method == "HEAD" else request.method.lower()
        operation = told.document["paths"][path][method]
        yield from _answer(told, response, path, method, operation)
        if response.status_code < 300 and path.startswith("/v1/") and not _refused(response):
            known = {each["name"] for each in operation.get("parameters", ())}
            yield from (f"query {name}" for name in request.args if name not in known)
            if sent is not None and "requestBody" in operation:
                body = ("requestBody", "content", "application/json", "schema")
                yield from told.wrong(sent, "paths", path, method, *body)


def _path(client: DescribedClient, response: TestResponse) -> str | None:
    """The described path that a request is of; None: there is none."""
    request = response.request
    adapter = client.application.url_map.bind_to_environ(request.environ)
    try:
        rule, _ = adapter.match(return_rule=True)
    except HTTPException:
        return None
    return described_path(rule.rule)


def described_path(rule: str) -> str:
    """A rule of Flask as the description has it: its parameters have no types."""
    parts = []
    for part in rule.split("/"):
        if part.startswith("<"):
            name = part.strip("<>").rpartition(":")[2]
            part = "{" + {"identifier": "id"}.get(name, name) + "}"
        parts.append(part)
    return "/".join(parts)


def _refused(response: TestResponse) -> bool:
    """Whether items of it were refused, so that its body was not all right."""
    if response.mimetype != "application/json":
        return False
    return any("error" in each for each in response.get_json().get("results", ()))


def _undescribed(told: Description, response: TestResponse) -> Iterator[str]:
    """Of a path or method that is not there."""
    if response.status_code not in (404, 405, 413, 500):
        yield f"{response.status_code} of what is not there"
    elif response.request.method != "HEAD":
        body = response.get_json(force=True)
        yield from told.wrong(body, "components", "schemas", "Problem")
        if CODES[body["code"]].status != response.status_code:
            yield f"{body['code']} with {response.status_code}"


def _answer(
    told: Description, response: TestResponse, path: str, method: str, operation: dict[str, Any]
) -> Iterator[str]:
    status = str(response.status_code)
    if status not in operation["responses"]:
        yield f"{status} is not described: {response.get_data()[:300]!r}"
        return
    described = operation["responses"][status]
    content = described.get("content", {})
    if content and response.mimetype not in content:
        yield f"{status} as {response.mimetype}"
        return
    needed = {"Retry-After", "WWW-Authenticate", "ETag"} & set(described["headers"])
    yield from (f"no {name}" for name in needed if name not in response.headers)
    if response.mimetype in ("application/json", PROBLEM) and response.request.method != "HEAD":
        yield from told.wrong(
            response.get_json(force=True),
            *("paths", path, method, "responses", status, "content", response.mimetype, "schema"),
        )
