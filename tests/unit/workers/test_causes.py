"""Every cause that can set a leg aside is explained to whoever has to decide about it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.model.leg import LATE_BOUNCE
from shared.report import REASONS
from workers import suppressed
from workers.smtp.gate import NO_SESSION
from workers.smtp.types import LEASE_LOST

ROOT = Path(__file__).parents[3]
NEVER_ASIDE = {
    # Before the final dot nothing is uncertain: the recipient is deferred, or the relay in trouble.
    LEASE_LOST,
    NO_SESSION,
    "RSET refused",
    "the server is closing",
    "control character in a command",
    "unpaired surrogate in a command",
    "angle bracket in an address",
    # Setting a session up: no message is in it yet.
    "refused",
    "connection refused",
    "certificate not valid for this relay",
    "certificate not valid for this host",
    "there is nowhere to connect to",
    "host name not found",
    "source address not on this machine",
    "no address of the host can be reached",
    "fault at set-up",
    "the TLS files cannot be read",
    "the server offers no TLS",
    "the server offers no way to sign in",
    "the token file cannot be read",
    "the token command cannot be run",
    "the token command takes too long",
    "the token command ended with exit code ",
    "the token is empty or not printable ASCII",
    # The leg goes back, its crash counted.
    "worker ended",
    # It is before the attempt of the others; alone it is the end of the leg.
    suppressed.NOTE,
    # What is set aside is not moved.
    "moved",
    # No attempt of ours: `Leg.cause` passes it over.
    LATE_BOUNCE,
}
"""Notes that no dead letter and no held leg has as its last one, and why."""
MAKERS = {"Broken", "OutOfStep", "_dead", "Verdict"}


def _texts(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _notes(tree: ast.AST) -> Iterator[str]:
    """What is given to whatever makes a note; and what `why` makes of other exceptions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            given = node.args if name in MAKERS else []
            for each in [*given, *(k.value for k in node.keywords if k.arg == "trouble")]:
                if isinstance(each, (ast.Constant, ast.JoinedStr)):
                    yield next(_texts(each), "")
        elif isinstance(node, ast.FunctionDef) and node.name == "why":
            for returned in ast.walk(node):
                if isinstance(returned, ast.Return) and returned.value is not None:
                    yield from _texts(returned.value)


def test_every_cause_is_explained() -> None:
    found = {LEASE_LOST, NO_SESSION, LATE_BOUNCE}
    for path in (ROOT / "workers").rglob("*.py"):
        found |= set(_notes(ast.parse(path.read_text())))
    for path in (ROOT / "shared/store/lua").glob("*.lua"):
        found |= set(re.findall(r"\bnote\(\w+, '([^']+)'\)", path.read_text()))
    found.discard("")
    assert {"poison", "unreadable", "protocol error", "worker ended", "timed out"} <= found
    assert found - NEVER_ASIDE <= set(REASONS)
