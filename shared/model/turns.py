"""Whose turn it is at a hop: each application has a queue of its own there, `gw1|shop`.

Mail that a release before that has stored is in a queue by the hop's name alone. Pure.
"""

from __future__ import annotations

_MARK = "|"
_MOST_BYTES = 48
"""A leg's record has 255 bytes for the hop and the application."""


def turn_name(application: str) -> str:
    """The name by which an application takes turns: the first 48 bytes of its own."""
    return application.encode()[:_MOST_BYTES].decode(errors="ignore")


def queue_at(hop: str, application: str) -> str:
    """The name of an application's queue at a hop."""
    return f"{hop}{_MARK}{application}" if application else hop


def hop_and_application(queue: str) -> tuple[str, str]:
    """The inverse of `queue_at`."""
    hop, _, application = queue.partition(_MARK)
    return hop, application
