"""The API's description cannot fall behind: every route, every code of a problem is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask

from shared.settings import WebSettings
from shared.store import limits
from shared.suppressing import entry
from tests.support.api import Api
from tests.support.described import described_path
from web.openapi.document import document, groups
from web.openapi.fields import FIELD_CODES
from web.openapi.problems import CODES
from web.validation import choice
from web.validation.message import BATCH_FIELDS, FIELDS

ROOT = Path(__file__).parents[2]
DOCUMENT = document(WebSettings())
SOURCES = sorted(
    path
    for folder in ("web", "shared/suppressing")
    for path in (ROOT / folder).rglob("*.py")
    if not {"openapi", "inbox", "console"} & set(path.parts)
)
STATUS_OF = {"_bad": 400, "_unauthorized": 401, "_unavailable": 503}
"""Functions that make a problem of one status; the code is their first argument."""
COMPUTED = {*STATUS_OF, "_from_http", "refuse"}
"""Where a problem's code is no text: those that make them of Flask's and of a field's, too."""
FIELD_AT = {"add": 1, "forbid": 1, "FieldError": 1, "Wrong": 1, "_refused": 1}
"""What notes a wrong field, with the place of the code among its arguments."""


@pytest.fixture
def app() -> Iterator[Flask]:
    api = Api()
    yield api.app
    api.close()


def test_the_description_has_every_route_and_no_other(app: Flask) -> None:
    there = {
        (method, described_path(rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert described == there


def test_no_operation_or_schema_is_described_twice() -> None:
    found = groups(WebSettings())
    names = [each.name for group in found for each in group.operations]
    assert len(names) == len(set(names))
    schemas = [name for group in found for name in group.schemas]
    assert len(schemas) == len(set(schemas))


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ("Message", FIELDS),
        ("BatchMessage", BATCH_FIELDS),
        ("NewSuppression", entry.FIELDS),
        ("NewLimit", (*limits.FIELDS, "seconds", "reason")),
        ("DeadLetterChoice", (*choice.FIELDS, "ids", "all", "dry_run", "cursor")),
    ],
)
def test_a_request_has_the_fields_that_are_read(schema: str, fields: tuple[str, ...]) -> None:
    assert set(DOCUMENT["components"]["schemas"][schema]["properties"]) == set(fields)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """(name of what is called, the call)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                name = function.id if isinstance(function, ast.Name) else name
                yield name, node


def _texts(node: ast.expr) -> list[str]:
    """The strings that an argument may be."""
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_every_code_of_a_problem_is_described_with_its_status() -> None:
    found: set[tuple[str, int]] = set()
    for name, call in _calls():
        if name == "Problem" and isinstance(call.args[0], ast.Constant):
            found |= {(code, int(str(call.args[0].value))) for code in _texts(call.args[1])}
        elif name in STATUS_OF:
            found |= {(code, STATUS_OF[name]) for code in _texts(call.args[0])}
        elif name == "forbid":
            found |= {(code, 403) for code in _texts(call.args[1])}
    from_flask = {
        (HTTPStatus(status).phrase.lower().replace(" ", "_"), status) for status in (400, 404, 405)
    }
    assert len(found) > 30
    assert {(code, each.status) for code, each in CODES.items()} == found | from_flask


def test_a_code_that_the_walk_cannot_read_is_made_where_it_knows() -> None:
    found = set()
    for path in SOURCES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                found |= {
                    function.name
                    for node in ast.walk(function)
                    if isinstance(node, ast.Call)
                    and ast.unparse(node.func) == "Problem"
                    and not (isinstance(node.args[0], ast.Constant) and _texts(node.args[1]))
                }
    assert found == COMPUTED


def test_every_code_of_a_field_is_described() -> None:
    found: set[str] = set()
    for name, call in _calls():
        place = FIELD_AT.get(name)
        if place is not None and len(call.args) > place:
            found.update(_texts(call.args[place]))
        elif name == "Broken":
            found.update(text for each in call.args for text in _texts(each))
    found = {each for each in found if re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", each)}
    assert len(found) > 25
    assert set(FIELD_CODES) == found


def test_every_code_is_an_answer_of_some_operation() -> None:
    operations = [each for group in groups(WebSettings()) for each in group.operations]
    said = {code for each in operations for code in each.codes()}
    assert set(CODES) - said == {"method_not_allowed"}, "that is the answer of every path"
