"""The text of a ticket: a Dramatiq message that says only "class C has mail".

The scripts write it, in Dramatiq's documented wire format, in the same step that makes mail
ready. `ACTOR` is the one actor's name; its arguments are the class and the ticket's id.
"""

from __future__ import annotations

import dramatiq

ACTOR = "deliver"
NAMESPACE = "dramatiq"
_ID = "@ID@"
_CLASS = "@CLASS@"


def template() -> bytes:
    """A message with placeholders where the scripts put the id and the class."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=_CLASS,
        actor_name=ACTOR,
        args=(_CLASS, _ID),
        kwargs={},
        options={"redis_message_id": _ID},
        message_id=_ID,
        message_timestamp=0,
    )
    return message.encode()
