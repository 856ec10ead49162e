"""Addresses of a request: parsed once, strictly, into values that nothing parses again (B8, B9)."""

from __future__ import annotations

import re

from shared.addresses import mailbox
from shared.model.message import Address
from web.validation.report import Report, line

MAX_ADDRESS = 1000
_NAMED = re.compile(r"\s*(.*?)\s*<([^<>]*)>\s*\Z")
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"\Z')


def address(value: object, pointer: str, report: Report) -> Address | None:
    """`"a@b"`, `"Name <a@b>"` or `{"email","name"}`; None after a report."""
    if isinstance(value, dict):
        return _object(value, pointer, report)
    found = line(value, pointer, report, limit=MAX_ADDRESS)
    if found is None:
        return None
    match = _NAMED.match(found) if "<" in found else None
    if match is None:
        return _checked(found, "", pointer, report)
    name = match[1]
    quoted = _QUOTED_NAME.match(name)
    if quoted:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    elif '"' in name or "," in name or ":" in name or ";" in name:
        report.add(pointer, "bad_address", "Quote the name, or give an object with email and name.")
        return None
    return _checked(match[2], name, pointer, report)


def _object(value: dict[str, object], pointer: str, report: Report) -> Address | None:
    before = len(report.errors)
    for key in value:
        if key not in ("email", "name"):
            report.add(f"{pointer}/{key}", "unknown_field", "An address has email and name.")
    email = line(value.get("email"), f"{pointer}/email", report, limit=MAX_ADDRESS)
    given = value.get("name")
    name = "" if given is None else line(given, f"{pointer}/name", report, limit=MAX_ADDRESS)
    if email is None or name is None or len(report.errors) > before:
        return None
    return _checked(email, name, f"{pointer}/email", report)


def _checked(email: str, name: str, pointer: str, report: Report) -> Address | None:
    found = mailbox(email)
    if found is None:
        if "," in email or ";" in email:
            detail = "Give several addresses as a list, not as one string."
        else:
            detail = "Not an e-mail address."
        report.add(pointer, "bad_address", detail)
        return None
    return Address(found, name)


def addresses(value: object, pointer: str, report: Report, *, limit: int) -> list[Address]:
    """One address or a list of them; wrong ones are reported and left out."""
    if not isinstance(value, list):
        found = address(value, pointer, report)
        return [] if found is None else [found]
    if len(value) > limit:
        report.add(pointer, "too_many", f"At most {limit} addresses.")
        return []
    each = (address(item, f"{pointer}/{index}", report) for index, item in enumerate(value))
    return [found for found in each if found is not None]
