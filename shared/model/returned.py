"""What an event says of news that came back about a recipient's copy: plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.model.message import MessageClass


class CameBack(msgspec.Struct, frozen=True):
    """Payload of the events `bounced` and `complained`: a msgpack map with these names."""

    source: Literal["dsn", "arf"]
    application: str
    message_class: MessageClass
    site: str
    """A provider's name, or `other`."""
    recipient: int | None = None
    """Index in `Head.recipients`; None: the message's record was gone."""
    address: str = ""
    """Whose copy it is, as written to; empty: not known, because the record was gone."""
    code: int = 0
    """The reply code told, or 550 or 450 where there was only an enhanced one. `bounced` only."""
    enhanced: str = ""
    text: str = ""
    """What was told, without addresses."""
    category: str = ""
    """Of the reply (`shared.classification.meaning`)."""
    feedback_type: str = ""
    """`complained` only: as the report says it."""
    suppressed: bool = False
    """Whether the address was put on the suppression list for it."""
