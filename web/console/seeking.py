"""What the list of messages is asked for: its filters, as typed and as the store knows them.

Takes a query's fields; gives what is sought, or what is wrong with each field, in words. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

import msgspec

from shared.ids import parse_external
from shared.model.message import CLASSES, MessageClass
from shared.model.status import Status
from shared.store.recent import Sought
from web.console.moments import NO_TIME, moment_of

LONGEST = 320
"""Characters of a field: an address has no more."""
FIELDS = ("recipient", "subject", "status", "class", "application", "since", "until", "id")
STATUSES = tuple(each.value for each in Status)
_HEADER = re.compile(r"<?([0-9a-f]{32})@[^<>\s@]{1,255}>?\Z")
_DIGITS = re.compile(r"[0-9a-f]{32}\Z")


class Filters(msgspec.Struct, frozen=True):
    """The fields of the form."""

    typed: dict[str, str]
    """As they were typed, without those that are empty."""
    sought: Sought
    wrongs: dict[str, str]
    """What is wrong, by field."""

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.typed)


def filters_of(query: Mapping[str, str]) -> Filters:
    """The filters of a query."""
    typed = {name: query.get(name, "").strip() for name in FIELDS}
    typed = {name: text for name, text in typed.items() if text}
    wrongs: dict[str, str] = {}
    for name, text in typed.items():
        if len(text) > LONGEST:
            wrongs[name] = f"At most {LONGEST} characters."
            typed[name] = text[:LONGEST]
    since, until = _time("since", typed, wrongs), _time("until", typed, wrongs)
    if since is not None and until is not None and since >= until:
        wrongs["until"] = "Must lie after the other time."
    sought = Sought(
        recipient=typed.get("recipient", ""),
        subject=typed.get("subject", ""),
        application=typed.get("application", ""),
        message_class=_class(typed, wrongs),
        status=_status(typed, wrongs),
        since_ms=since,
        until_ms=until,
    )
    return Filters(typed, sought, wrongs)


def message_id_of(text: str) -> bytes | None:
    """The message that an id names: ours, or a Message-ID header that we have made."""
    text = text.strip().lower()
    found = _HEADER.match(text) or _DIGITS.match(text)
    digits = found[found.lastindex or 0] if found else ""
    return bytes.fromhex(digits) if digits else parse_external(text)


def _time(name: str, typed: Mapping[str, str], wrongs: dict[str, str]) -> int | None:
    if name not in typed or name in wrongs:
        return None
    found = moment_of(typed[name])
    if found is None:
        wrongs[name] = NO_TIME
    return found


def _class(typed: Mapping[str, str], wrongs: dict[str, str]) -> MessageClass | None:
    name = typed.get("class")
    known: tuple[MessageClass, ...] = get_args(MessageClass)
    found = next((each for each in known if each == name), None)
    if name and found is None:
        wrongs["class"] = f"One of {', '.join(CLASSES)}."
    return found


def _status(typed: Mapping[str, str], wrongs: dict[str, str]) -> Status | None:
    name = typed.get("status")
    if not name or name not in STATUSES:
        if name:
            wrongs["status"] = f"One of {', '.join(STATUSES)}."
        return None
    return Status(name)
