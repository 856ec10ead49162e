"""One operation of the API, and how it stands in an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from web.openapi.problems import CODES, KEYED, problem
from web.openapi.schema import Schema, text

JSON = "application/json"


class Body(msgspec.Struct, frozen=True):
    """What a request carries."""

    schema: Schema
    examples: dict[str, Any]
    """By a few words. A test sends each."""
    media_type: str = JSON
    required: bool = True


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered that succeeds."""

    description: str
    schema: Schema | None = None
    example: Any = None
    media_type: str = JSON
    headers: dict[str, Schema] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one route."""

    method: str
    path: str
    """With parameters in braces."""
    name: str
    """For generated clients."""
    summary: str
    description: str = ""
    scopes: tuple[str, ...] | None = ()
    """One of these is needed; empty: any key; None: no key."""
    parameters: tuple[dict[str, Any], ...] = ()
    body: Body | None = None
    answers: dict[int, Answer]
    problems: tuple[str, ...] = ()
    """Codes besides those that its scopes stand for."""

    def codes(self) -> list[str]:
        """Every code of a problem that it may have for an answer."""
        keyed = () if self.scopes is None else KEYED
        scope = ("missing_scope",) if self.scopes else ()
        return list(dict.fromkeys((*keyed, *scope, *self.problems)))

    def described(self, tag: str) -> dict[str, Any]:
        """As an Operation Object (OpenAPI 3.1 section 4.8.10)."""
        told: dict[str, Any] = {
            "operationId": self.name,
            "tags": [tag],
            "summary": self.summary,
            "description": self.description or self.summary,
            "security": self._security(),
        }
        if self.parameters:
            told["parameters"] = list(self.parameters)
        if self.body is not None:
            told["requestBody"] = {
                "required": self.body.required,
                "content": {
                    self.body.media_type: {
                        "schema": self.body.schema,
                        "examples": {
                            name: {"value": value} for name, value in self.body.examples.items()
                        },
                    }
                },
            }
        responses = {str(status): _answered(each) for status, each in sorted(self.answers.items())}
        for status, refusal in _refused(self.codes()).items():
            page = responses.get(status)
            responses[status] = refusal
            if page is not None:  # A page where the view answers, else a problem.
                refusal["description"] = f"{page['description']}\n\n{refusal['description']}"
                refusal["content"] = page["content"] | refusal["content"]
        told["responses"] = responses
        return told

    def _security(self) -> list[dict[str, list[str]]]:
        if self.scopes is None:
            return []
        return [{"key": [scope]} for scope in self.scopes] or [{"key": []}]


class Group(msgspec.Struct, frozen=True):
    """Operations that belong together, and the schemas that they name."""

    tag: str
    description: str
    operations: tuple[Operation, ...]
    schemas: dict[str, Schema] = {}


def query(name: str, schema: Schema, **more: Any) -> dict[str, Any]:
    """A parameter in the query; its description is the schema's."""
    return _parameter("query", name, schema, **more)


def path(name: str, schema: Schema, **more: Any) -> dict[str, Any]:
    """A parameter in the path."""
    return _parameter("path", name, schema, required=True, **more)


def header(name: str, schema: Schema, **more: Any) -> dict[str, Any]:
    """A header of a request."""
    return _parameter("header", name, schema, **more)


def _parameter(place: str, name: str, schema: Schema, **more: Any) -> dict[str, Any]:
    plain = {key: value for key, value in schema.items() if key != "description"}
    told = {"name": name, "in": place, "description": schema.get("description", name)}
    return {**told, "schema": plain, **more}


def _answered(each: Answer) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    for name, schema in each.headers.items():
        headers[name] = _header(schema)
    told: dict[str, Any] = {"description": each.description, "headers": headers}
    if each.schema is not None:
        content: dict[str, Any] = {"schema": each.schema}
        if each.example is not None:
            content["example"] = each.example
        told["content"] = {each.media_type: content}
    return told


def _header(schema: Schema) -> dict[str, Any]:
    plain = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema["description"], "schema": plain}


RETRY_AFTER = text("Seconds to wait.", pattern=r"^\d+$")


def _refused(codes: Iterable[str]) -> dict[str, Any]:
    """Responses by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    return {str(status): _refusal(status, by_status[status]) for status in sorted(by_status)}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in (429, 503):
        headers["Retry-After"] = _header(RETRY_AFTER)
    if status == 401:
        headers["WWW-Authenticate"] = _header(text("`Bearer`."))
    meanings = "\n".join(f"- `{code}`: {CODES[code].meaning}" for code in codes)
    return {
        "description": f"{HTTPStatus(status).phrase}\n\n{meanings}",
        "headers": headers,
        "content": {"application/problem+json": {"schema": problem(codes)}},
    }
