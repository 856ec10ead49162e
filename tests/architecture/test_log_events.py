"""A log event is a fixed name: nothing that came from outside is put into it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [path for tier in ("web", "workers", "shared") for path in (ROOT / tier).rglob("*.py")]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
EVENT = re.compile(r"[a-z][a-z0-9_]{1,60}\Z")


def _events(path: Path) -> Iterator[tuple[int, ast.expr]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "_log"
        ):
            yield node.lineno, node.args[0]


WITH_LOGS = sorted(path for path in MODULES if any(_events(path)))


@pytest.mark.parametrize("path", WITH_LOGS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_events_are_names(path: Path) -> None:
    for line, event in _events(path):
        assert isinstance(event, ast.Constant), f"line {line}"
        assert EVENT.match(str(event.value)), f"line {line}"


def test_there_are_some() -> None:
    assert len(WITH_LOGS) > 5
