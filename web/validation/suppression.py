"""Entries of the suppression list in requests: bodies, queries and paths, and whose they may be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from flask import Request

from shared.model.suppression import REASONS, Suppression
from shared.store.keys import ApiKey
from shared.suppressing.entry import (
    FIELDS,
    Asking,
    Wrong,
    address_of,
    application_of,
    entry_of,
    list_of,
)
from web.errors import FieldError, Problem, invalid
from web.validation.report import Report, escape

_LIMIT = re.compile(r"[1-9]\d{0,2}\Z", re.ASCII)
_NOT_YOURS = "Others' and everybody's entries need the scope operate."


class Asked(msgspec.Struct, frozen=True):
    """What a query says."""

    application: str | None
    """Empty: everybody's entries; None: it says none."""
    list: str | None = None
    """Empty: entries for all mail; None: it says none."""
    reason: str | None = None
    limit: int = 0
    cursor: str = ""
    flags: frozenset[str] = frozenset()
    """Those that are true."""


def asked(
    request: Request, key: ApiKey, known: tuple[str, ...], *, flags: tuple[str, ...] = (),
    limits: tuple[int, int] = (1, 1),
) -> Asked:  # fmt: skip
    """The query, of which `known` and `flags` are read. `limits`: where it says none, and the most.

    Raises a `Problem` with everything that is wrong, or 403 for what is not the key's own.
    """
    found = Report()
    fields = _fields(request, (*known, *flags), found)
    wrong: list[Wrong] = []
    application = None
    if "application" in fields:
        application = application_of(fields["application"], wrong)
    list_name = list_of(fields["list"], wrong) if "list" in fields else None
    for each in wrong:
        found.add(f"/{each.field}", each.code, each.detail)
    reason, limit = fields.get("reason"), fields.get("limit", str(limits[0]))
    if reason is not None and reason not in REASONS:
        found.add("/reason", "bad_value", f"One of {', '.join(REASONS)}.")
    if not (_LIMIT.match(limit) and int(limit) <= limits[1]):
        found.add("/limit", "bad_value", f"1 to {limits[1]}.")
    for name in flags:
        if fields.get(name, "false") not in ("true", "false"):
            found.add(f"/{name}", "bad_value", "true or false.")
    if found.errors:
        raise invalid(found.errors)
    if application not in (None, key.application) and "operate" not in key.scopes:
        raise Problem(403, "missing_scope", _NOT_YOURS)
    true = frozenset(name for name in flags if fields.get(name) == "true")
    return Asked(application, list_name, reason, int(limit), fields.get("cursor", ""), true)


def _fields(request: Request, known: tuple[str, ...], found: Report) -> dict[str, str]:
    """The query's fields, each once."""
    found.only(request.args, known)
    for name, values in request.args.lists():
        if len(values) > 1:
            found.add(f"/{escape(name)}", "bad_value", "Give it once.")
    return {name: text for name, text in request.args.items() if name in known}


def checked(item: Any, asking: Asking) -> Suppression | Problem:
    """One entry of a body, or its problem: 422, or 403 when it is only not allowed."""
    if not isinstance(item, dict):
        return invalid([FieldError("", "wrong_type", "Must be an object.")])
    found = Report()
    found.only(item, FIELDS)
    entry, wrong = entry_of({name: item[name] for name in FIELDS if name in item}, asking)
    errors = [FieldError(f"/{each.field}", each.code, each.detail) for each in wrong]
    if entry is not None and not found.errors:
        return entry
    if not found.errors and all(each.code == "not_allowed" for each in errors):
        return Problem(403, "missing_scope", _NOT_YOURS, errors=errors)
    return invalid([*found.errors, *errors])


def address_in_path(text: str) -> str:
    """The canonical form of a path's address. Raises a `Problem` 422."""
    wrong: list[Wrong] = []
    found = address_of(text, wrong)
    if found is None:
        raise invalid([FieldError("/address", each.code, each.detail) for each in wrong])
    return found
