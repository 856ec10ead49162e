"""One message: from the object a client sent to a `Message`, or to every field that is wrong.

Pure: the time, the id and the policy come in. What is wrong in form is in `Validated.errors`; what
the key may not do is in `Validated.forbidden`.
"""

from __future__ import annotations

import difflib
from typing import Any

import msgspec

from shared.dkim import domains_from, nearest
from shared.ids import message_id_header
from shared.model.message import (
    CLASSES,
    Address,
    Content,
    Head,
    Message,
    MessageClass,
    OnUncertain,
    Recipient,
    RecipientKind,
)
from web.errors import FieldError
from web.validation import labels
from web.validation.addresses import address, addresses
from web.validation.attachments import attachments
from web.validation.head import check_head
from web.validation.headers import headers
from web.validation.mailing_list import mailing_list
from web.validation.policy import Policy
from web.validation.quota import check_quota
from web.validation.report import Report, escape, line, text
from web.validation.times import moment

FIELDS = (
    "from", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "headers", "attachments",
    "return_path", "tags", "metadata", "list", "class", "send_at", "deliver_by", "on_uncertain",
)  # fmt: skip
BATCH_FIELDS = (*FIELDS, "idempotency_key")
_KINDS: tuple[RecipientKind, ...] = ("to", "cc", "bcc")


class Validated(msgspec.Struct, frozen=True):
    """The answer: a message, or why there is none."""

    message: Message | None = None
    errors: tuple[FieldError, ...] = ()
    forbidden: tuple[FieldError, ...] = ()
    too_large: bool = False


def validate(
    fields: dict[str, Any], message_id: bytes, policy: Policy, known: tuple[str, ...] = FIELDS
) -> Validated:
    """`fields` as a message with the given id."""
    return _Validation(fields, policy, known).run(message_id)


class _Validation:
    """The fields of one message, the report, and the policy."""

    def __init__(self, fields: dict[str, Any], policy: Policy, known: tuple[str, ...]) -> None:
        self._fields = fields
        self._policy = policy
        self._limits = policy.settings.web
        self._report = Report()
        self._known = known

    def run(self, message_id: bytes) -> Validated:
        report = self._report
        self._check_names()
        sender = self._sender()
        recipients = self._recipients()
        return_path = self._return_path(sender)
        subject = self._line("subject", self._limits.max_header_bytes)
        content = self._content()
        limit = self._limits.max_header_bytes
        check_head(sender, recipients, subject, content, report, limit_bytes=limit)
        klass = self._class()
        send_at, deliver_by, give_up = self._times(klass)
        tags = labels.tags(self._fields.get("tags"), report, limit=self._limits.max_tags)
        metadata = labels.metadata(
            self._fields.get("metadata"), report, limit=self._limits.max_metadata_keys
        )
        on_uncertain = self._on_uncertain()
        value, custom = self._fields.get("list"), content.headers
        list_name = mailing_list(value, klass, recipients, custom, self._policy, report)
        if report.errors or report.forbidden or report.too_large or sender is None:
            return Validated(None, tuple(report.errors), tuple(report.forbidden), report.too_large)
        head = Head(
            application=self._policy.application,
            message_class=klass,
            message_id=message_id_header(message_id, sender.domain),
            sender=sender,
            return_path=return_path,
            recipients=recipients,
            subject=subject,
            accepted_ms=self._policy.now_ms,
            send_at_ms=send_at,
            deliver_by_ms=deliver_by,
            give_up_ms=give_up,
            on_uncertain=on_uncertain,
            tags=tags,
            metadata=metadata,
            request_id=self._policy.request_id,
            list=list_name,
        )
        return Validated(Message(message_id, head, content))

    def _check_names(self) -> None:
        for name in self._fields:
            if name not in self._known:
                near = difflib.get_close_matches(name[:64], self._known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                self._report.add(f"/{escape(name)}", "unknown_field", f"Not a known field.{hint}")

    def _line(self, name: str, limit: int) -> str:
        value = self._fields.get(name)
        if value is None:
            return ""
        return line(value, f"/{name}", self._report, limit=limit) or ""

    def _sender(self) -> Address | None:
        value = self._fields.get("from")
        if value is None:
            self._report.add("/from", "required", "A message needs a sender.")
            return None
        sender = address(value, "/from", self._report)
        if sender is not None and not self._may_send_from(sender.domain):
            self._report.forbid(
                "/from", "from_not_allowed", "This key may not send from this domain."
            )
        if sender is not None and not self._may_go_unsigned(sender.domain):
            self._report.add(
                "/from", "dkim_key_missing", "No DKIM key is configured for this domain."
            )
        return sender

    def _may_go_unsigned(self, domain: str) -> bool:
        settings = self._policy.settings
        if not settings.require_dkim:
            return True
        return nearest(domains_from(settings.dkim), domain) is not None

    def _may_send_from(self, domain: str) -> bool:
        return not self._policy.from_domains or domain in self._policy.from_domains

    def _recipients(self) -> tuple[Recipient, ...]:
        """To, Cc and Bcc; an address that stands twice is delivered to once."""
        found: dict[str, Recipient] = {}
        given = ""
        for kind in _KINDS:
            value = self._fields.get(kind)
            if value is None or value == []:
                continue
            given = given or kind
            limit = self._limits.max_recipients_per_field
            for each in addresses(value, f"/{kind}", self._report, limit=limit):
                found.setdefault(each.email, Recipient(kind, each.email, each.name))
        if not given:
            self._report.add("/to", "required", "A message needs a recipient in to, cc or bcc.")
        settings, application = self._policy.settings, self._policy.application
        check_quota(settings, application, len(found), given, self._report)
        return tuple(found.values())

    def _return_path(self, sender: Address | None) -> str:
        value = self._fields.get("return_path")
        if value is None:
            application = self._policy.settings.application.get(self._policy.application)
            default = application.return_path if application else ""
            return default or (sender.email if sender else "")
        found = address(value, "/return_path", self._report)
        if found is None:
            return ""
        if found.name:
            self._report.add("/return_path", "bad_address", "A plain address, without a name.")
        if not self._may_send_from(found.domain):
            self._report.forbid(
                "/return_path", "return_path_not_allowed", "This key may not use this domain."
            )
        return found.email

    def _content(self) -> Content:
        report, limits = self._report, self._limits
        bodies: dict[str, str | None] = {"text": None, "html": None}
        for name in bodies:
            value = self._fields.get(name)
            if value is not None:
                bodies[name] = text(value, f"/{name}", report, limit=limits.max_request_bytes)
        if self._fields.get("text") is None and self._fields.get("html") is None:
            report.add("/text", "required", "A message needs text, html or both.")
        files = self._fields.get("attachments")
        parts = (
            ()
            if files is None
            else attachments(files, "/attachments", report, limit=limits.max_attachments)
        )
        lines = self._fields.get("headers")
        custom = (
            ()
            if lines is None
            else headers(lines, "/headers", report, limit_bytes=limits.max_header_bytes)
        )
        reply = self._fields.get("reply_to")
        limit = limits.max_recipients_per_field
        replies = () if reply is None else addresses(reply, "/reply_to", report, limit=limit)
        size = sum(len(body.encode("utf-8", "replace")) for body in bodies.values() if body)
        size += sum(len(part.content) for part in parts)
        report.too_large = size > limits.max_message_bytes
        return Content(bodies["text"], bodies["html"], tuple(replies), custom, parts)

    def _class(self) -> MessageClass:
        value = self._fields.get("class", self._policy.settings.default_class)
        for known in CLASSES:
            if value == known:
                if known not in self._policy.classes:
                    self._report.forbid(
                        "/class", "class_not_allowed", "This key may not use this class."
                    )
                return known
        self._report.add("/class", "bad_value", f"One of {', '.join(CLASSES)}.")
        return "transactional"

    def _on_uncertain(self) -> OnUncertain:
        value = self._fields.get("on_uncertain", "resend")
        if value == "hold":
            return "hold"
        if value != "resend":
            self._report.add("/on_uncertain", "bad_value", "Either resend or hold.")
        return "resend"

    def _times(self, klass: MessageClass) -> tuple[int | None, int | None, int]:
        now, report = self._policy.now_ms, self._report
        times: dict[str, int | None] = {}
        for name in ("send_at", "deliver_by"):
            value = self._fields.get(name)
            times[name] = None if value is None else moment(value, f"/{name}", report)
        send_at, deliver_by = times["send_at"], times["deliver_by"]
        if send_at is not None:
            if send_at > now + self._limits.max_schedule_seconds * 1000:
                days = self._limits.max_schedule_seconds // 86_400
                report.add("/send_at", "too_late", f"At most {days} days ahead.")
            if send_at <= now:
                send_at = None  # In the past means now.
        start = max(now, send_at or 0)
        if deliver_by is not None and deliver_by <= start:
            report.add("/deliver_by", "too_early", "Must lie after now and after send_at.")
        return (
            send_at,
            deliver_by,
            give_up_ms(start, deliver_by, self._policy.settings.retry.give_up_of(klass)),
        )


def give_up_ms(start_ms: int, deliver_by_ms: int | None, give_up_seconds: int) -> int:
    """When nothing is tried any more."""
    end = start_ms + give_up_seconds * 1000
    return end if deliver_by_ms is None else min(end, deliver_by_ms)
