"""What is told about messages, destinations and what is set aside: one shape for API and command.

Takes values of the store, gives what JSON can hold. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.classification.told import Meanings
from shared.flushing import Flushed
from shared.hops import UNRESOLVED, member_of, mx_hop, queue_of, unresolved
from shared.ids import external
from shared.model.leg import Attempt, Leg, LegState
from shared.model.status import BY_LETTER, OPEN, Status
from shared.moving import Moved
from shared.redrive import Redriven, cursor
from shared.routing import Routes
from shared.store.figures import Depth
from shared.store.operations import SetAside
from shared.store.ports import Stored
from shared.store.quotas import Quota, Use
from shared.times import shown

_NOBODY_KNOWS = ", after the final dot: nobody knows whether the server took it."
REASONS = {
    "poison": "Workers ended while they delivered it, as often as worker.max_crashes says.",
    "unreadable": "What is stored of it is missing or damaged.",
    "connection lost": f"The connection was lost{_NOBODY_KNOWS}",
    "host unreachable": f"The server could not be reached any more{_NOBODY_KNOWS}",
    "timed out": f"The server did not answer in time{_NOBODY_KNOWS}",
    "TLS handshake broke": f"The encryption of the connection broke{_NOBODY_KNOWS}",
    "protocol error": f"The server said what is no answer{_NOBODY_KNOWS}",
    "reply too long": f"The server answered more than a reply may hold{_NOBODY_KNOWS}",
    "unexpected data": f"The server said more than it was asked{_NOBODY_KNOWS}",
    "worker ended at the final dot": "The worker ended when the final dot was about to be sent.",
    "stopped while waiting for the final reply": "The worker was stopped before the server had "
    "answered the final dot.",
}
"""Causes, in words for whoever has to decide."""


def message(stored: Stored, routes: Routes, told: Meanings) -> dict[str, Any]:
    """The whole message; its recipients' routes are those that they would take now, and replies
    mean what they mean now."""
    head = stored.head
    return {
        "id": external(stored.id),
        "message_id": head.message_id,
        "request_id": head.request_id or None,
        "class": head.message_class,
        "list": head.list or None,
        "from": head.sender.email,
        "subject": head.subject,
        "tags": list(head.tags),
        "metadata": head.metadata,
        "created_at": shown(head.accepted_ms),
        "send_at": shown(head.send_at_ms),
        "deliver_by": shown(head.deliver_by_ms),
        "gives_up_at": shown(max(leg.give_up_ms for leg in stored.legs)),
        "on_uncertain": head.on_uncertain,
        "recipients": _recipients(stored, routes, told),
    }


def statuses(stored: Stored) -> list[dict[str, Any]]:
    """Address and status of every recipient, in the order they were given."""
    by_index = stored.statuses()
    return [
        {"address": recipient.email, "status": by_index[index].value}
        for index, recipient in enumerate(stored.head.recipients)
    ]


def _recipients(stored: Stored, routes: Routes, told: Meanings) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for leg in stored.legs:
        attempts = leg.all_attempts()
        for index, status in zip(leg.indices(), leg.statuses, strict=True):
            recipient = stored.head.recipients[index]
            his = [each for each in attempts if _concerns(each, index)]
            others = sum(each.charged for each in attempts if not _concerns(each, index))
            found[index] = {
                "address": recipient.email,
                "kind": recipient.kind,
                "status": status.value,
                "route": routes.route_at(stored.head, recipient, unresolved(queue_of(leg.hop)))
                or None,
                "destination": queue_of(leg.hop),
                "site": _site(leg.hop),
                "via": member_of(leg.hop) if leg.state is LegState.LEASED else None,
                "attempt_count": max(leg.attempts - others, _charged(his)),
                "attempts": [_attempt(each, index, told) for each in his],
                **_waiting(leg, status, stored),
            }
    return [found[index] for index in sorted(found)]


def _charged(attempts: Sequence[Attempt]) -> int:
    """How many count; notes of what was no attempt have no replies."""
    return sum(each.charged and bool(each.replies) for each in attempts)


def _site(hop: str) -> str | None:
    """The site that a leg goes to straight; None: it goes to a relay, or DNS is to be asked."""
    direct = mx_hop(member_of(hop))
    return None if direct is None or direct.site == UNRESOLVED else direct.site


def _concerns(attempt: Attempt, index: int) -> bool:
    """Whether an attempt was for this recipient; one without any reply was for all."""
    return not attempt.replies or any(each.recipient == index for each in attempt.replies)


def _attempt(attempt: Attempt, index: int, meanings: Meanings) -> dict[str, Any]:
    reply = next((each for each in attempt.replies if each.recipient == index), None)
    outcome = BY_LETTER.get(reply.status) if reply else None
    told: dict[str, Any] = {
        "at": shown(attempt.at_ms),
        "via": attempt.hop,
        "outcome": outcome.value if outcome else None,
        "code": reply.code if reply and reply.code else None,
        "enhanced_code": reply.enhanced if reply and reply.enhanced else None,
        "reply": reply.text if reply and (reply.code or reply.text) else None,
        **meanings.of(attempt.hop, reply),
        "note": attempt.note or None,
        "charged": attempt.charged,
    }
    if outcome is Status.UNCERTAIN and reply is not None:
        last = f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ").strip()
        told |= {"code": None, "enhanced_code": None, "reply": None}
        told |= {
            "last_reply": last if reply.code else None,
            "bytes_sent": attempt.bytes_sent or None,
        }
    return told


def _waiting(leg: Leg, status: Status, stored: Stored) -> dict[str, Any]:
    """Why an open recipient waits, until when, and what stands in its way."""
    pause, kept = stored.pauses.get(leg.hop), stored.kept.get(leg.hop)
    why: str | None = None
    until: int | None = None
    reason: str | None = None
    if status in OPEN and leg.state is LegState.LEASED:
        why = "in_flight"
    elif status in OPEN and leg.state is LegState.WAITING:
        why = "send_at" if status is Status.SCHEDULED else "retry"
        until = leg.due_ms
        last = leg.last_try()
        if last is not None and not last.charged:
            reason = last.note or None
    elif status in OPEN and pause is not None:
        why = "suspended" if pause.kind == "suspended" else "relay_trouble"
        until, reason = pause.until_ms, pause.reason or None
    elif status in OPEN and kept is not None:
        why, until, reason = "limit", kept.until_ms, kept.limit or None
    elif status in OPEN:
        why = "a_worker"
    return {"waiting_for": why, "next_attempt_at": shown(until), "waiting_reason": reason}


def totals(depth: Depth) -> dict[str, int]:
    """Legs over all destinations."""
    return {
        "ready": sum(depth.ready_legs.values()),
        "waiting": sum(depth.deferred_legs.values()),
        "in_flight": sum(depth.leased_legs.values()),
        "dead_letters": depth.dead_legs,
        "held_as_uncertain": depth.held_legs,
        "live_workers": depth.live_workers,
    }


def quota(application: str, limits: Quota | None, uses: Sequence[Use]) -> dict[str, Any]:
    """What an application may send, by window, and what it has used of that."""
    rows = (
        [] if limits is None else [window(limits, use) for use in uses if limits.limit(use.window)]
    )
    return {"application": application, "quota": rows}


def window(limits: Quota, use: Use) -> dict[str, Any]:
    """One window of a quota; numbers of recipients."""
    return {
        "window": use.window,
        "limit": limits.limit(use.window),
        "used": use.used,
        "reset": shown(use.reset_ms),
    }


def flushed(came_of: Flushed) -> dict[str, Any]:
    """What came of a flush."""
    told: dict[str, Any] = {
        "chosen": came_of.chosen,
        "flushed": came_of.flushed,
        "stand_still": came_of.stand_still,
    }
    if came_of.interrupted:
        told |= {"interrupted": True, "in_doubt": came_of.in_doubt}
    return told


def moved(came_of: Moved, to: str) -> dict[str, Any]:
    """What came of a move."""
    told: dict[str, Any] = {
        "to": to,
        "chosen": came_of.chosen,
        "moved": came_of.moved,
        "stay": came_of.stay,
        "same": came_of.same,
        "stand_still": came_of.stand_still,
    }
    if came_of.interrupted:
        told |= {"interrupted": True, "in_doubt": came_of.in_doubt}
    return told


def set_aside(each: SetAside, attempts: Meanings | None = None) -> dict[str, Any]:
    """A leg that is a dead letter, or held as uncertain; with `attempts` every one of them, with
    what their replies mean."""
    cause = each.leg.cause() or "unknown"
    told: dict[str, Any] = {
        "id": external(each.leg_id[:16]),
        "kind": each.kind,
        "cause": cause,
        "explanation": REASONS.get(cause),
        "since": shown(each.since_ms),
        "destination": queue_of(each.leg.hop),
        "class": each.head.message_class,
        "application": each.head.application,
        "from": each.head.sender.email,
        "subject": each.head.subject,
        "recipients": each.addresses(),
        "attempt_count": each.leg.attempts,
        "deliver_by": shown(each.head.deliver_by_ms),
    }
    if attempts is not None:
        told["attempts"] = [
            row for attempt in each.leg.all_attempts() for row in _for_each(attempt, each, attempts)
        ]
    return told


def _for_each(attempt: Attempt, each: SetAside, meanings: Meanings) -> list[dict[str, Any]]:
    """An attempt for everybody whose mail is set aside; one without replies once, for all."""
    if not attempt.replies:
        return [{"address": None, **_attempt(attempt, -1, meanings)}]
    return [
        {"address": each.head.recipients[index].email, **_attempt(attempt, index, meanings)}
        for index in each.indices()
        if _concerns(attempt, index)
    ]


def redriven(came_of: Redriven) -> dict[str, Any]:
    """What came of a decision about what is set aside."""
    told: dict[str, Any] = {
        "chosen": came_of.chosen,
        "done": came_of.done,
        "overdue": came_of.overdue,
    }
    if came_of.interrupted:
        return told | {"interrupted": True, "in_doubt": came_of.in_doubt}
    return told | {"next_cursor": cursor(came_of.next)}
