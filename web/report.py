"""What GET /v1/messages/{id} answers: each recipient, each kept attempt, what it waits for."""

from __future__ import annotations

from typing import Any

from shared.ids import external
from shared.model.leg import Attempt, Leg, LegState
from shared.model.status import OPEN, Status
from shared.store.ports import Stored
from web.validation.times import shown


def message(stored: Stored) -> dict[str, Any]:
    """The whole message as JSON."""
    head = stored.head
    return {
        "id": external(stored.id),
        "message_id": head.message_id,
        "class": head.message_class,
        "from": head.sender.email,
        "subject": head.subject,
        "tags": list(head.tags),
        "metadata": head.metadata,
        "created_at": shown(head.accepted_ms),
        "send_at": shown(head.send_at_ms),
        "deliver_by": shown(head.deliver_by_ms),
        "gives_up_at": shown(head.give_up_ms),
        "on_uncertain": head.on_uncertain,
        "recipients": _recipients(stored),
    }


def statuses(stored: Stored) -> list[dict[str, Any]]:
    """Address and status of every recipient, in the order they were given."""
    by_index = stored.statuses()
    return [
        {"address": recipient.email, "status": by_index[index].value}
        for index, recipient in enumerate(stored.head.recipients)
    ]


def _recipients(stored: Stored) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for leg in stored.legs:
        for index, status in zip(leg.indices(), leg.statuses, strict=True):
            recipient = stored.head.recipients[index]
            found[index] = {
                "address": recipient.email,
                "kind": recipient.kind,
                "status": status.value,
                "attempt_count": leg.attempts,
                "attempts": [_attempt(each, index) for each in leg.history],
                **_waiting(leg, status),
            }
    return [found[index] for index in sorted(found)]


def _attempt(attempt: Attempt, index: int) -> dict[str, Any]:
    reply = next((each for each in attempt.replies if each.recipient == index), None)
    return {
        "at": shown(attempt.at_ms),
        "via": attempt.hop,
        "code": reply.code if reply and reply.code else None,
        "enhanced_code": reply.enhanced if reply and reply.enhanced else None,
        "reply": reply.text if reply and reply.code else None,
        "note": attempt.note or None,
    }


def _waiting(leg: Leg, status: Status) -> dict[str, Any]:
    """Why an open recipient waits, and until when."""
    if status not in OPEN:
        return {"waiting_for": None, "next_attempt_at": None}
    if leg.state is LegState.LEASED:
        return {"waiting_for": "in_flight", "next_attempt_at": None}
    if leg.state is LegState.WAITING:
        why = "send_at" if status is Status.SCHEDULED else "retry"
        return {"waiting_for": why, "next_attempt_at": shown(leg.due_ms)}
    return {"waiting_for": "a_worker", "next_attempt_at": None}
