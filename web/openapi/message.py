"""The schemas of a message: as it is sent, and as it is told."""

from __future__ import annotations

from shared.classification.checks import CATEGORIES
from shared.model.message import CLASSES
from shared.model.status import Status
from shared.settings import WebSettings
from web.openapi.schema import (
    Schema,
    answer,
    choice,
    flag,
    many,
    maybe,
    ref,
    request,
    text,
    time,
    whole,
)

STATUSES = tuple(each.value for each in Status)
WAITING_FOR = (
    "in_flight", "send_at", "retry", "suspended", "relay_trouble", "limit", "a_worker",
)  # fmt: skip


def sent_fields(limits: WebSettings) -> dict[str, Schema]:
    """Of a message that is sent, in the order of the README; null is as good as absent."""
    boxes = _boxes(limits.max_recipients_per_field)
    days = limits.max_schedule_seconds // 86_400
    fields = {
        "to": {**boxes, "description": "Recipients; at least one in to, cc or bcc."},
        "cc": boxes,
        "bcc": boxes,
        "reply_to": boxes,
        "subject": text("Without line breaks.", maxLength=limits.max_header_bytes),
        "text": text("The plain text. Without it, it is made of `html`."),
        "html": text("The HTML, which is sent as it is."),
        "headers": {
            "type": "object",
            "description": "More headers, by name; not those that fields or Posthaste set.",
            "additionalProperties": text(),
        },
        "attachments": many(ref("Attachment"), maxItems=limits.max_attachments),
        "return_path": {
            **ref("Address"),
            "description": "MAIL FROM, an address without a name: where bounces go.",
        },
        "tags": many(text(maxLength=128), "Kept and told again.", maxItems=limits.max_tags),
        "metadata": {
            "type": "object",
            "description": "Kept and told again.",
            "maxProperties": limits.max_metadata_keys,
            "propertyNames": text(maxLength=64),
            "additionalProperties": text(maxLength=512),
        },
        "list": text(
            "Whose reader can leave it by one click (RFC 8058); only class bulk, one recipient.",
            minLength=1,
        ),
        "send_at": time(f"Not before; at most {days} days ahead."),
        "deliver_by": time("Expires then."),
    }
    return {
        "from": {**ref("Address"), "description": "The sender."},
        **{name: _optional(schema) for name, schema in fields.items()},
        "class": choice(CLASSES, "How urgent it is; `transactional` where the installation says"
                        " nothing else. A key lists those that it may use."),
        "on_uncertain": choice(
            ("resend", "hold"),
            "When the connection is lost after the final dot: send again, or let an operator"
            " decide.",
            default="resend",
        ),
    }  # fmt: skip


def _optional(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return maybe(schema)


def _boxes(most: int) -> Schema:
    return {
        "description": "One address or a list; never several in one string.",
        "anyOf": [ref("Address"), many(ref("Address"), maxItems=most)],
    }


def told_schemas() -> dict[str, Schema]:
    """Those of a message that is told, and the parts of one that is sent."""
    status = choice(STATUSES, "Where this recipient stands.")
    return {
        "Address": {
            "description": "`a@b`, `Name <a@b>`, or an object.",
            "anyOf": [
                text(maxLength=1000, examples=["Shop <orders@shop.test>"]),
                request(
                    {"email": text(maxLength=1000), "name": maybe(text(maxLength=1000))},
                    required=("email",),
                ),
            ],
        },
        "Attachment": request(
            {
                "filename": text("Without a path.", minLength=1, maxLength=255),
                "content": text("Base64 (RFC 4648 section 4).", contentEncoding="base64"),
                "content_type": maybe(text("`application/octet-stream` if absent.")),
                "content_id": maybe(text("By which HTML names it: `cid:...`.", maxLength=128)),
            },
            "A file that goes with a message.",
            ("filename", "content"),
        ),
        "RecipientStatus": answer(
            {"address": text("Its mailbox."), "status": status}, "One recipient."
        ),
        "RecipientStatuses": answer(
            {"id": text("The message's id."), "recipients": many(ref("RecipientStatus"))},
            "A message's recipients, as they are now.",
        ),
        "MessageState": _message(),
        "Recipient": _recipient(status),
        "Attempt": answer(attempt_fields(), "One attempt.", optional=UNCERTAIN_FIELDS),
    }


def _message() -> Schema:
    return answer(
        {
            "id": text("The message's id."),
            "message_id": text("Its Message-ID header."),
            "request_id": maybe(text("Of the request that brought it.")),
            "class": choice(CLASSES),
            "list": maybe(text("Its list.")),
            "from": text("The sender's mailbox."),
            "subject": text(),
            "tags": many(text()),
            "metadata": {"type": "object", "additionalProperties": text()},
            "created_at": time("When it was accepted."),
            "send_at": maybe(time("Not before.")),
            "deliver_by": maybe(time("It expires then, whatever it waits for.")),
            "gives_up_at": time("It is tried no longer."),
            "on_uncertain": choice(("resend", "hold")),
            "recipients": many(ref("Recipient"), "In order: to, cc, bcc."),
        },
        "A message, and what became of it.",
    )


def _recipient(status: Schema) -> Schema:
    return answer(
        {
            "address": text("Its mailbox."),
            "kind": choice(("to", "cc", "bcc")),
            "status": status,
            "route": maybe(text("That it takes by the routes as they are now.")),
            "destination": text("Whose queue it is in."),
            "site": maybe(text("The site, where mail goes straight to MX hosts.")),
            "via": maybe(text("Who has it now, while it is being delivered.")),
            "attempt_count": whole("Attempts that count.", minimum=0),
            "attempts": many(ref("Attempt"), "The first ones first."),
            "waiting_for": maybe(choice(WAITING_FOR, "What it waits for; null: for nothing.")),
            "next_attempt_at": maybe(time("Not before.")),
            "waiting_reason": maybe(text("Which limit, why suspended, what a relay said.")),
        },
        "One recipient of a message.",
    )


UNCERTAIN_FIELDS = ("last_reply", "bytes_sent")


def attempt_fields() -> dict[str, Schema]:
    """Of one attempt, for one recipient."""
    return {
        "at": time("When."),
        "via": text("The relay or site."),
        "outcome": maybe(choice(STATUSES, "What came of it; null: it was no attempt.")),
        "code": maybe(whole("The server's reply code.")),
        "enhanced_code": maybe(text("Its enhanced code (RFC 3463).")),
        "reply": maybe(text("Its words.")),
        "category": maybe(choice(CATEGORIES, "What the reply means, by the tables as they are.")),
        "suppresses": maybe(flag("Whether it says that the address is dead.")),
        "note": maybe(text("What happened, where no reply says so.")),
        "charged": flag("Whether it counts as an attempt."),
        "last_reply": maybe(text("Uncertain only: the last reply before the connection was lost.")),
        "bytes_sent": maybe(whole("Uncertain only: of the message's data.")),
    }
