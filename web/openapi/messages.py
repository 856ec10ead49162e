"""Sending: one message or a batch, look, cancel, reschedule."""

from __future__ import annotations

from typing import Any

from shared.settings import WebSettings
from web.openapi.message import sent_fields, told_schemas
from web.openapi.operation import Answer, Body, Group, Operation, header, path
from web.openapi.problems import CHANGES, JSON_BODY, problem
from web.openapi.schema import Schema, answer, choice, many, maybe, ref, request, text, time

ID = "msg_01a217d5459e763aba44464d6d5e392a"
KEY = text("Chosen by the client; the same one makes a retry safe for 24 hours.",
           minLength=1, maxLength=256, pattern=r"^[ -~]+$")  # fmt: skip
IDENTIFIER = path(
    "id", text("The message's id, as its receipt has it.", pattern="^msg_[0-9a-f]{32}$", example=ID)
)
_ACCEPTING = (
    "bad_idempotency_key", "from_not_allowed", "return_path_not_allowed", "class_not_allowed",
    "idempotency_mismatch", "message_too_large", "quota_exceeded", "acceptance_unknown",
)  # fmt: skip
_ITEM = tuple(
    code for code in (*_ACCEPTING, "invalid", "unavailable") if code != "bad_idempotency_key"
)
_MESSAGE: dict[str, Any] = {
    "from": "Shop <orders@shop.test>",
    "to": "customer@example.test",
    "subject": "Your order",
    "text": "Thank you.",
}
_RECEIPT: dict[str, Any] = {
    "id": ID,
    "status": "queued",
    "message_id": "<01a217d5459e763aba44464d6d5e392a@shop.test>",
    "recipients": [{"address": "customer@example.test", "status": "queued"}],
}
_STATE: dict[str, Any] = {
    "id": ID,
    "message_id": "<01a217d5459e763aba44464d6d5e392a@shop.test>",
    "request_id": "3b1f0c2e9d4a4c6f8e5d7a1b2c3d4e5f",
    "class": "transactional",
    "list": None,
    "from": "orders@shop.test",
    "subject": "Your order",
    "tags": ["order"],
    "metadata": {},
    "created_at": "2026-11-27T09:00:00.000Z",
    "send_at": None,
    "deliver_by": None,
    "gives_up_at": "2026-12-02T09:00:00.000Z",
    "on_uncertain": "resend",
    "recipients": [
        {
            "address": "customer@example.test",
            "kind": "to",
            "status": "deferred",
            "route": None,
            "destination": "relay",
            "site": None,
            "via": None,
            "attempt_count": 1,
            "attempts": [
                {
                    "at": "2026-11-27T09:00:01.000Z",
                    "via": "relay",
                    "outcome": "deferred",
                    "code": 451,
                    "enhanced_code": "4.7.1",
                    "reply": "greylisted, try again later",
                    "category": "greylisting",
                    "suppresses": False,
                    "note": None,
                    "charged": True,
                }
            ],
            "waiting_for": "retry",
            "next_attempt_at": "2026-11-27T09:01:03.000Z",
            "waiting_reason": None,
        }
    ],
}
_CANCELLED: dict[str, Any] = {
    "id": ID,
    "recipients": [{"address": "customer@example.test", "status": "cancelled"}],
}
_RECEIPT_FIELDS: dict[str, Schema] = {
    "id": text("The message's id."),
    "status": choice(("queued", "scheduled"), "How it was accepted."),
    "message_id": text("The Message-ID header that it will have."),
    "recipients": many(ref("RecipientStatus"), "In order: to, cc, bcc."),
}


def group(limits: WebSettings) -> Group:
    """The routes under /v1/messages, with this installation's limits."""
    return Group(
        "Messages",
        "Mail is accepted by its answer 202, and then survives the end of any process. `GET` tells"
        " what became of each recipient.",
        (_submit(), _submit_batch(limits), _look(), _cancel(), _reschedule()),
        {**told_schemas(), **_schemas(limits)},
    )


def _schemas(limits: WebSettings) -> dict[str, Schema]:
    fields = sent_fields(limits)
    no_body = {"anyOf": [{"required": ["text"]}, {"required": ["html"]}]}
    most = limits.max_batch_messages
    refused = answer({"error": problem(_ITEM)}, "It was not accepted.")
    return {
        "Message": request(fields, "A message to be sent.", ("from",), **no_body),
        "BatchMessage": request(
            {**fields, "idempotency_key": maybe(KEY)},
            "A message of a batch.",
            ("from",),
            **no_body,
        ),
        "Batch": request(
            {"messages": many(ref("BatchMessage"), minItems=1, maxItems=most)},
            "Messages, each of which is accepted or refused by itself.",
            ("messages",),
        ),
        "Receipt": answer(_RECEIPT_FIELDS, "An accepted message."),
        "BatchReceipt": answer(
            {"results": many({"anyOf": [ref("Receipt"), refused]}, "One for each, in order.")},
            "What came of a batch.",
        ),
    }


def _submit() -> Operation:
    return Operation(
        method="POST",
        path="/v1/messages",
        name="sendMessage",
        summary="Send a message",
        description="Accepts one message. After a 503 `acceptance_unknown`, or no answer at all,"
        " send it again with the same `Idempotency-Key`: it is accepted once. Recipients on the"
        " suppression list are `suppressed` at once, and the answer is still 202.",
        scopes=("send",),
        parameters=(header("Idempotency-Key", KEY),),
        body=Body(
            ref("Message"),
            {
                "A small message": _MESSAGE,
                "With attachment, headers and a time": {
                    **_MESSAGE,
                    "to": [{"email": "customer@example.test", "name": "A. Customer"}],
                    "html": "<p>Thank you.</p>",
                    "headers": {"X-Order": "4711"},
                    "attachments": [
                        {
                            "filename": "order.txt",
                            "content": "VGhhbmsgeW91Lgo=",
                            "content_type": "text/plain",
                        }
                    ],
                    "tags": ["order"],
                    "metadata": {"order": "4711"},
                    "send_at": "2020-01-31T12:00:00+01:00",
                },
            },
        ),
        answers={
            202: Answer(
                "It is stored durably.",
                ref("Receipt"),
                _RECEIPT,
                headers={"Idempotent-Replayed": text("`true`: the answer of the first request.")},
            )
        },
        problems=(*JSON_BODY, *_ACCEPTING),
    )


def _submit_batch(limits: WebSettings) -> Operation:
    refused = {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid",
        "detail": "1 field is wrong",
        "errors": [{"pointer": "/to", "code": "bad_address", "detail": "Not an e-mail address."}],
        "request_id": "3b1f0c2e9d4a4c6f8e5d7a1b2c3d4e5f",
    }
    return Operation(
        method="POST",
        path="/v1/messages/batch",
        name="sendBatch",
        summary="Send many messages",
        description=f"Up to {limits.max_batch_messages} messages. A list of them is answered 202"
        " with a result for each, in order, even when all are refused. Each item may have an"
        " `idempotency_key`; the header `Idempotency-Key` is refused here.",
        scopes=("send",),
        body=Body(
            ref("Batch"),
            {"Two, of which one is wrong": {
                "messages": [{**_MESSAGE, "idempotency_key": "order-4711"}, {**_MESSAGE, "to": "-"}]
            }},
        ),
        answers={
            202: Answer(
                "What came of each.",
                ref("BatchReceipt"),
                {"results": [_RECEIPT, {"error": refused}]},
            )
        },
        problems=(*JSON_BODY, "bad_idempotency_key", "acceptance_unknown"),
    )  # fmt: skip


def _look() -> Operation:
    return Operation(
        method="GET",
        path="/v1/messages/{id}",
        name="getMessage",
        summary="Look at a message",
        description="Of every recipient status, way, attempts with the server's replies, and what"
        " it waits for. Another application's message is `not_found`, unless the key has the scope"
        " `operate`.",
        parameters=(IDENTIFIER,),
        answers={200: Answer("The message.", ref("MessageState"), _STATE)},
        problems=("not_found",),
    )


def _cancel() -> Operation:
    return Operation(
        method="POST",
        path="/v1/messages/{id}/cancel",
        name="cancelMessage",
        summary="Cancel a message",
        description="Every recipient that is still open is `cancelled`; 409 when none can be.",
        scopes=("send",),
        parameters=(IDENTIFIER,),
        answers={200: Answer("Each recipient as it is now.", ref("RecipientStatuses"), _CANCELLED)},
        problems=("not_found", "in_flight", "already_cancelled", "too_late", *CHANGES),
    )


def _reschedule() -> Operation:
    statuses = [{"address": "customer@example.test", "status": "scheduled"}]
    return Operation(
        method="PATCH",
        path="/v1/messages/{id}",
        name="rescheduleMessage",
        summary="Reschedule a message",
        description="Another `send_at`, before the first attempt. A time in the past means now.",
        scopes=("send",),
        parameters=(IDENTIFIER,),
        body=Body(
            request({"send_at": time("When it may go.")}, required=("send_at",)),
            {"At once": {"send_at": "2020-01-31T12:00:00Z"}},
        ),
        answers={
            200: Answer(
                "Each recipient as it is now.",
                ref("RecipientStatuses"),
                {"id": ID, "recipients": statuses},
            )
        },
        problems=(
            *JSON_BODY, "not_found", "in_flight", "already_cancelled", "too_late", *CHANGES
        ),
    )  # fmt: skip
