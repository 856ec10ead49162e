"""What a check has found, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

Severity = Literal["ok", "info", "warning", "error"]

WORST: tuple[Severity, ...] = ("ok", "info", "warning", "error")
"""The worst last."""
EXIT_CODES: dict[Severity, int] = {"ok": 0, "info": 0, "warning": 1, "error": 3}
"""2 is a wrong call or a settings file that cannot be read, as of every command."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the diagnosis."""

    id: str
    """`check.what`, such as `store.fsync`; the same for the same question, always."""
    severity: Severity
    found: str
    remedy: str = ""
    """What to do; empty where there is nothing to do."""


def ok(identifier: str, found: str) -> Finding:
    """As it should be."""
    return Finding(identifier, "ok", found)


def worst(findings: Iterable[Finding]) -> Severity:
    """The severity of the whole; `ok` when there is no finding."""
    return max((each.severity for each in findings), key=WORST.index, default="ok")
