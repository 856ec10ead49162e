"""Changing a message that was accepted: the rules that the API and the console share.

Takes the message as it is stored; gives a new time, what the store made of a change, or the
`Problem` that says why nothing was changed. Who may change whose message is not decided here.
"""

from __future__ import annotations

from shared.model.status import FINAL, Status
from shared.services import Services
from shared.store.ports import ChangeKind, Stored
from web.errors import Problem, changing
from web.validation.message import give_up_ms
from web.validation.report import Report
from web.validation.times import moment


def gone() -> Problem:
    """404 for a message that is not there, or not for who asks."""
    return Problem(404, "not_found", "There is no such message, or not any more.")


def send_at_of(value: object, services: Services, stored: Stored, found: Report) -> int | None:
    """A new time in milliseconds; None after a report at `/send_at`."""
    send_at = moment(value, "/send_at", found)
    if send_at is None:
        return None
    before = len(found.errors)
    now, most = services.clock.now_ms(), services.settings.web.max_schedule_seconds
    if send_at > now + most * 1000:
        found.add("/send_at", "too_late", f"At most {most // 86_400} days ahead.")
    deliver_by = stored.head.deliver_by_ms
    if deliver_by is not None and max(send_at, now) >= deliver_by:
        found.add("/send_at", "too_late", "Must lie before deliver_by.")
    return send_at if len(found.errors) == before else None


def cancel(services: Services, stored: Stored) -> ChangeKind:
    """Cancel what is open in it and not being delivered."""
    with changing():
        return services.spool.cancel(stored.id).kind


def reschedule(services: Services, stored: Stored, send_at_ms: int) -> ChangeKind:
    """Give it a new time, which `send_at_of` has checked."""
    seconds = services.settings.retry.give_up_of(stored.head.message_class)
    start = max(send_at_ms, stored.head.accepted_ms)
    give_up = give_up_ms(start, stored.head.deliver_by_ms, seconds)
    with changing():
        return services.spool.reschedule(stored.id, send_at_ms, give_up).kind


def refusal(kind: ChangeKind, stored: Stored) -> Problem | None:
    """Why a message, as it is now, was not changed; None: it was."""
    if kind is ChangeKind.CHANGED:
        return None
    if kind is ChangeKind.IN_FLIGHT:
        return Problem(409, "in_flight", "The message is being delivered now.")
    statuses = set(stored.statuses().values())
    if statuses == {Status.CANCELLED}:
        return Problem(409, "already_cancelled", "The message was cancelled before.")
    if not statuses <= FINAL:
        return Problem(409, "too_late", "The message has been attempted already.")
    return Problem(409, "too_late", "Every recipient has a final status.")
