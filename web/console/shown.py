"""A draft as its readers will see it: headers that show, the text, and whether there is a page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.model.message import Address
from shared.render.plain import plain_text
from web.console.draft import Draft
from web.console.rich import is_blank
from web.console.typed import BOXES, Typed, fields_of
from web.validation import Policy
from web.validation.addresses import address
from web.validation.report import Report
from web.validation.times import moment


class Shown(msgspec.Struct, frozen=True):
    """For the preview."""

    sender: str
    boxes: dict[str, tuple[str, ...]]
    """By `to`, `cc` and `reply_to`: what is wrong is left out. Bcc shows to nobody."""
    subject: str
    date_ms: int
    text: str
    page: bool
    """Whether there is HTML, which has an address of its own."""
    draft: Draft


def shown_of(typed: Typed, draft: Draft, policy: Policy) -> Shown:
    """The preview of what is typed."""
    fields = fields_of(typed, policy.from_domains)
    page = "html" in fields
    text = typed.text if typed.text.strip() else ""
    if page and not text:
        text = plain_text(typed.html) or ""
    at = moment(fields.get("send_at", ""), "/send_at", Report())
    senders = _boxes([fields["from"]] if "from" in fields else [])
    return Shown(
        sender=senders[0] if senders else "",
        boxes={name: _boxes(getattr(typed, name)) for name in BOXES if name != "bcc"},
        subject=typed.subject,
        date_ms=max(policy.now_ms, at or 0),
        text=text,
        page=page and not is_blank(typed.html),
        draft=draft,
    )


def _boxes(given: Sequence[object]) -> tuple[str, ...]:
    found = (address(each, "", Report()) for each in given)
    return tuple(_name(each) for each in found if each is not None)


def _name(box: Address) -> str:
    return f"{box.name} <{box.email}>" if box.name else box.email
