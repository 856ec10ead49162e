"""The one actor: a thin shell that hands a ticket to the engine and returns at once."""

from __future__ import annotations

from collections.abc import Callable

import dramatiq

from shared.broker import TicketBroker
from shared.model.message import CLASSES, MessageClass
from shared.store.tickets import ACTOR

Offer = Callable[[MessageClass, str], None]


def declare(broker: TicketBroker, offer: Offer) -> None:
    """Declare the actor on `broker`; `offer` may be called from any thread and must not block."""

    def deliver(message_class: str, ticket: str) -> None:
        """Mail of `message_class` is ready. The ticket may be late, doubled or stale."""
        for known in CLASSES:
            if known == message_class:
                offer(known, ticket)

    dramatiq.actor(actor_name=ACTOR, queue_name=CLASSES[0], broker=broker)(deliver)
