"""The static route: which legs a message is split into when it is accepted. Pure."""

from __future__ import annotations

from shared.model.leg import Leg, LegFlag, LegState
from shared.model.message import Head
from shared.model.status import Status
from shared.settings import Settings

RELAY_HOP = "relay"
"""The first relay's name, unless its entry says otherwise."""
MAX_RECIPIENTS = 100
"""Recipients of one leg, so of one transaction (RFC 5321 section 4.5.3.1.8)."""


def default_hop(settings: Settings) -> str:
    """Where mail goes: the first relay."""
    return (settings.relay[0].name if settings.relay else "") or RELAY_HOP


def static_legs(head: Head, now_ms: int, hop: str = RELAY_HOP) -> tuple[Leg, ...]:
    """The legs of a message whose mail all goes to one relay."""
    scheduled = head.send_at_ms is not None and head.send_at_ms > now_ms
    status = Status.SCHEDULED if scheduled else Status.QUEUED
    count = len(head.recipients)
    groups = [range(at, min(at + MAX_RECIPIENTS, count)) for at in range(0, count, MAX_RECIPIENTS)]
    return tuple(
        Leg(
            state=LegState.WAITING if scheduled else LegState.READY,
            message_class=head.message_class,
            hop=hop,
            statuses=(status,) * len(group),
            recipients=tuple(group) if len(groups) > 1 else (),
            give_up_ms=head.give_up_ms,
            due_ms=(head.send_at_ms or 0) if scheduled else 0,
            flags=LegFlag.HOLD if head.on_uncertain == "hold" else LegFlag(0),
            legs=len(groups),
        )
        for group in groups
    )
