"""Which dead letters a request means: the same fields in a query and in a body."""

from __future__ import annotations

from typing import Any

from shared.ids import parse_external
from shared.model.message import CLASSES
from shared.redrive import Choice
from shared.store.operations import Aside
from web.validation.report import Report, line
from web.validation.times import moment

KINDS: tuple[Aside, ...] = ("dead", "uncertain")
MOST_IDS = 1000
_TEXTS = ("cause", "destination", "application")
_TIMES = ("since", "until")
FIELDS = ("kind", "class", *_TEXTS, *_TIMES)


def choice_of(
    fields: dict[str, Any],
    report: Report,
    *,
    with_ids: bool = False,
    beside: tuple[str, ...] = (),
) -> Choice:
    """The choice; wrong fields are reported, by name. Without a kind: dead letters, by id both.

    `beside` names what the caller has taken from the fields already.
    """
    report.only(fields, (*FIELDS, *(("ids",) if with_ids else ()), *beside))
    texts = {
        name: line(fields[name], f"/{name}", report, limit=255) for name in _TEXTS if name in fields
    }
    times = {name: moment(fields[name], f"/{name}", report) for name in _TIMES if name in fields}
    since, until = times.get("since"), times.get("until")
    if since is not None and until is not None and since >= until:
        report.add("/until", "bad_value", "Must lie after since.")
    ids = _ids(fields["ids"], report) if with_ids and "ids" in fields else None
    for name, known in (("kind", KINDS), ("class", CLASSES)):
        if name in fields and fields[name] not in known:
            report.add(f"/{name}", "bad_value", f"One of {', '.join(known)}.")
    kinds = KINDS if ids is not None else KINDS[:1]
    return Choice(
        kinds=(fields["kind"],) if "kind" in fields else kinds,
        message_ids=ids,
        message_class=fields.get("class"),
        since_ms=since,
        until_ms=until,
        **texts,
    )


def _ids(value: object, report: Report) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_IDS:
        report.add("/ids", "bad_value", f"A list of 1 to {MOST_IDS} message ids.")
        return ()
    found = []
    for at, each in enumerate(value):
        identifier = parse_external(each) if isinstance(each, str) else None
        if identifier is None:
            report.add(f"/ids/{at}", "bad_value", "Not a message id.")
        else:
            found.append(identifier)
    return tuple(dict.fromkeys(found))
