"""From a report and a reference of ours to news about one recipient's copy, or why there is none.

A report is hostile: it counts only for the recipient of a reference whose MAC is right, so whoever
invents one, or changes his own, harms nobody else. An address is taken for dead only when the
report says that this very address is, and not another one that mail was forwarded to. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from shared.addresses import canonical
from shared.classification.meaning import Meaning
from shared.feedback.tokens import Reference
from shared.log_text import Cleaner
from shared.model.leg import Attempt
from shared.model.returned import CameBack
from shared.model.suppression import Suppression
from shared.store.news import late_bounce
from shared.store.returns import News
from workers.returns.report import Report, Told

VIA = "dsn"
"""In place of a next hop: nothing was sent."""
MOST_TEXT = 200
MOST_DETAIL = 100
Reason = Literal[
    "postmaster", "abuse", "no_report", "no_token", "bad_token", "expired", "several_recipients",
    "unknown_application", "no_status", "opt_out",
]  # fmt: skip
"""Why mail is kept for a look."""
SPAM = frozenset({"", "abuse", "fraud", "other"})
"""Types of feedback after which nothing more is sent; a filter reports `virus`, not a person."""

Classify = Callable[[int, str, str, str], Meaning]
"""Code, enhanced code, text, provider."""

_CODES = re.compile(r"\A[245]\d\d(?:[ -]+[245]\.\d{1,3}\.\d{1,3})?[ -]+")
"""What a diagnostic begins with, and is told beside its text."""
_encode = msgspec.msgpack.Encoder().encode
_CLEANER = Cleaner("off", b"")


class Copy(msgspec.Struct, frozen=True):
    """One recipient's copy of one message, as far as it is known."""

    reference: Reference
    application: str
    site: str
    recipient: int | None = None
    """Index in the message's recipients; None: its record is gone."""
    address: str = ""
    """As written to; empty: the record is gone, and the report does not name it."""


class Failure(msgspec.Struct, frozen=True):
    """What a report says of one copy that was not delivered."""

    told: Told
    own: bool
    """Whether it is about that very address, so that the address may be dead."""


def failure_of(report: Report, address: str, *, alone: bool) -> Failure | None:
    """What a DSN says of `address`; None: not that it failed.

    `alone`: no other copy is in question, so what it says without naming `address` is about it,
    too: servers rewrite and forward addresses, and others name none.
    """
    named = [each for each in report.recipients if _names(each, address)]
    for each in named:
        if _failed(each):
            return Failure(each, _is_own(each, address))
    if named or not alone:
        return None
    for each in report.recipients:
        if _failed(each):
            return Failure(each, _is_own(each, address))
    if report.text is not None and not report.recipients:
        return Failure(report.text, True)
    return None


def _failed(told: Told) -> bool:
    return told.action == "failed" or (not told.action and told.status.startswith("5"))


def _names(told: Told, address: str) -> bool:
    return any(canonical(each) == canonical(address) for each in told.addresses)


def _is_own(told: Told, address: str) -> bool:
    """Whether it failed at the address itself, its tag taken away maybe, or its domain rewritten to
    one above or below it.

    An alias or a list has the same original recipient for each of its members, and many forward
    mail to a mailbox of the same name elsewhere, which may be gone while theirs is not.
    """
    final = told.final_recipient
    if not final:
        return not told.original_recipient or _names(told, address)
    local, _, domain = canonical(final).rpartition("@")
    own, _, home = canonical(address).rpartition("@")
    return local in (own, own.partition("+")[0]) and _within(domain, home)


def _within(domain: str, other: str) -> bool:
    """Whether they are one, or one is below the other."""
    below, above = sorted((domain, other), key=len, reverse=True)
    return below == above or ("." in above and below.endswith(f".{above}"))


class Listing(msgspec.Struct, frozen=True):
    """How dead addresses are put on the suppression list."""

    on: bool = True
    lasts_ms: int | None = None
    """None: for good."""


def bounce(
    copy: Copy,
    failure: Failure,
    classify: Classify,
    now_ms: int,
    listing: Listing,
    private: Sequence[str] = (),
) -> News | Reason:
    """News of a copy that was not delivered. `private`: words that its text must not repeat."""
    told = failure.told
    if not told.code and not told.status:
        return "no_status"
    # Without a reply the class of the status says it (RFC 3463 section 3).
    code = told.code or (450 if told.status.startswith("4") else 550)
    meaning = classify(code, told.status, told.diagnostic, copy.site)
    dead = listing.on and meaning.suppresses and failure.own and not told.status.startswith("4")
    detail = f"{code} {told.status} {meaning.category}".replace("  ", " ")
    listed = _suppressed(copy, "bounce", "dsn", now_ms, detail, listing.lasts_ms) if dead else ()
    words = _CODES.sub("", told.diagnostic, count=1)
    text = _CLEANER.text(words, MOST_TEXT, private)
    index = copy.recipient
    attempt = None
    if index is not None:
        attempt = late_bounce(now_ms, VIA, index, code, told.status, text)
    event = CameBack(
        **_about(copy), source="dsn", code=code, enhanced=told.status, text=text,
        category=meaning.category, suppressed=bool(listed),
    )  # fmt: skip
    return _news(copy, "bounced", event, attempt, listed)


def complaint(copy: Copy, report: Report, now_ms: int) -> News:
    """News of a copy that somebody called spam."""
    kind = _CLEANER.text(report.feedback_type, 40)
    person = report.feedback_type in SPAM
    listed = _suppressed(copy, "complaint", "arf", now_ms, kind) if person else ()
    event = CameBack(**_about(copy), source="arf", feedback_type=kind, suppressed=bool(listed))
    return _news(copy, "complained", event, None, listed)


def _about(copy: Copy) -> dict[str, Any]:
    return {
        "application": copy.application,
        "message_class": copy.reference.message_class,
        "site": copy.site,
        "recipient": copy.recipient,
        "address": copy.address,
    }


def _suppressed(
    copy: Copy,
    reason: Literal["bounce", "complaint"],
    source: str,
    now_ms: int,
    detail: str,
    lasts_ms: int | None = None,
) -> tuple[Suppression, ...]:
    if not copy.address:
        return ()
    entry = Suppression(
        canonical(copy.address), copy.application,
        reason=reason, source=source, at_ms=now_ms,
        expires_ms=None if lasts_ms is None else now_ms + lasts_ms, detail=detail[:MOST_DETAIL],
    )  # fmt: skip
    return (entry,)


def _news(
    copy: Copy,
    kind: Literal["bounced", "complained"],
    event: CameBack,
    attempt: Attempt | None,
    suppressions: tuple[Suppression, ...],
) -> News:
    return News(
        kind=kind,
        message_id=copy.reference.message_id,
        mark=copy.reference.mark,
        application=copy.application,
        message_class=copy.reference.message_class,
        site=copy.site,
        event=_encode(event),
        recipient=copy.recipient,
        attempt=attempt,
        suppressions=suppressions,
    )
