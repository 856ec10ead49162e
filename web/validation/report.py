"""Where validation notes what is wrong: an entry for every field, by pointer (RFC 6901)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection

from web.errors import FieldError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Report:
    """The wrong fields found so far."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.forbidden: list[FieldError] = []
        """What is well formed and not allowed to this key."""
        self.too_large = False

    def add(self, pointer: str, code: str, detail: str) -> None:
        """Note a wrong field."""
        self.errors.append(FieldError(pointer, code, detail))

    def only(self, fields: Collection[str], known: Collection[str]) -> None:
        """Note every field that is not `known`."""
        for name in fields:
            if name not in known:
                self.add(
                    f"/{escape(name)}", "unknown_field", f"Known: {', '.join(known) or 'none'}."
                )

    def forbid(self, pointer: str, code: str, detail: str) -> None:
        """Note a field that this key may not set so."""
        self.forbidden.append(FieldError(pointer, code, detail))


def escape(name: str) -> str:
    """A name as one reference token of a JSON pointer; what cannot be shown is escaped."""
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub("?", shown).replace("~", "~0").replace("/", "~1")[:128]


def text(value: object, pointer: str, report: Report, *, limit: int) -> str | None:
    """`value` as a string of at most `limit` characters; None after a report."""
    if not isinstance(value, str):
        report.add(pointer, "wrong_type", "Must be a string.")
        return None
    if not is_unicode(value):
        report.add(pointer, "bad_unicode", "Holds half of a surrogate pair.")
        return None
    if len(value) > limit:
        report.add(pointer, "too_long", f"Must be at most {limit} characters.")
        return None
    return value


def is_unicode(value: str) -> bool:
    """Whether `value` can be encoded: lone surrogates cannot."""
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def has_control(value: str) -> bool:
    """Whether a C0 or C1 control, DEL, or a Unicode line or paragraph separator is inside."""
    return _CONTROL.search(value) is not None


def line(value: object, pointer: str, report: Report, *, limit: int) -> str | None:
    """Text that may stand in a header: no control character, not even behind an encoded word."""
    found = text(value, pointer, report, limit=limit)
    if found is None:
        return None
    if has_control(found):
        report.add(pointer, "control_character", "Must not hold line breaks or control characters.")
        return None
    if "=?" in found and hides_control(found):
        report.add(
            pointer, "control_character", "An encoded word in it decodes to a control character."
        )
        return None
    return found


def hides_control(value: str) -> bool:
    """Whether an encoded word (RFC 2047) in `value` decodes to a control character."""
    for match in re.finditer(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=", value):
        if has_control(_decode_word(match[1], match[2], match[3])):
            return True
    return False


def _decode_word(charset: str, encoding: str, payload: str) -> str:
    """The decoded word; a payload that does not decode counts as what it says."""
    octets = _base64(payload) if encoding in "bB" else _q(payload)
    try:
        return octets.decode(charset.partition("*")[0], "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def _base64(payload: str) -> bytes:
    kept = re.sub(r"[^A-Za-z0-9+/]", "", payload)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return binascii.a2b_base64(kept + "=" * (-len(kept) % 4))


def _q(payload: str) -> bytes:
    return binascii.a2b_qp(payload.encode("utf-8", "replace"), header=True)
