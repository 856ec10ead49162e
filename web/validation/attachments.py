"""Attachments: strict base64, a plain file name, a known grammar for types and ids (B6, B7)."""

from __future__ import annotations

import base64
import binascii
import re

from shared.model.message import Attachment
from web.validation.report import Report, escape, line

MAX_FILENAME = 255
_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z"
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,128}\Z")
_FIELDS = frozenset({"filename", "content", "content_type", "content_id"})


def attachments(
    value: object, pointer: str, report: Report, *, limit: int
) -> tuple[Attachment, ...]:
    """A list of attachments; wrong ones are reported and left out."""
    if not isinstance(value, list):
        report.add(pointer, "wrong_type", "Must be a list.")
        return ()
    if len(value) > limit:
        report.add(pointer, "too_many", f"At most {limit} attachments.")
        return ()
    found = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        place = f"{pointer}/{index}"
        each = _attachment(item, place, report)
        if each is None:
            continue
        if each.content_id and each.content_id in seen:
            report.add(f"{place}/content_id", "duplicate", "Another attachment has this id.")
        seen.add(each.content_id)
        found.append(each)
    return tuple(found)


def _attachment(value: object, pointer: str, report: Report) -> Attachment | None:
    if not isinstance(value, dict):
        report.add(pointer, "wrong_type", "Must be an object.")
        return None
    before = len(report.errors)
    for key in value:
        if key not in _FIELDS:
            report.add(f"{pointer}/{escape(key)}", "unknown_field", "Not a field of attachments.")
    filename = _filename(value.get("filename"), f"{pointer}/filename", report)
    content = _content(value.get("content"), f"{pointer}/content", report)
    kind = _type(value.get("content_type"), f"{pointer}/content_type", report)
    identifier = _identifier(value.get("content_id"), f"{pointer}/content_id", report)
    if len(report.errors) > before:
        return None
    return Attachment(filename or "", kind or "", content or b"", identifier or "")


def _filename(value: object, pointer: str, report: Report) -> str | None:
    if value is None:
        report.add(pointer, "required", "An attachment needs a file name.")
        return None
    name = line(value, pointer, report, limit=MAX_FILENAME)
    if name is None:
        return None
    if not name.strip() or "/" in name or "\\" in name or name in (".", ".."):
        report.add(pointer, "bad_filename", "A file name, without a path.")
        return None
    return name


def _content(value: object, pointer: str, report: Report) -> bytes | None:
    if not isinstance(value, str):
        report.add(pointer, "required" if value is None else "wrong_type", "Must be base64 text.")
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        report.add(pointer, "bad_base64", "Not valid base64 with padding.")
        return None


def _type(value: object, pointer: str, report: Report) -> str | None:
    if value is None:
        return "application/octet-stream"
    kind = line(value, pointer, report, limit=255)
    if kind is None:
        return None
    kind = kind.lower()
    composite = kind.startswith(("multipart/", "message/")) and kind != "message/rfc822"
    if not _TYPE.match(kind) or composite:
        report.add(
            pointer, "bad_content_type", "A type such as application/pdf, without parameters."
        )
        return None
    return kind


def _identifier(value: object, pointer: str, report: Report) -> str | None:
    if value is None:
        return ""
    found = line(value, pointer, report, limit=128)
    if found is not None and not _CONTENT_ID.match(found):
        report.add(pointer, "bad_content_id", "Letters, digits and .-_@ without angle brackets.")
        return None
    return found
