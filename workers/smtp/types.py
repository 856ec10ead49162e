"""What goes into a transaction and what comes out: plain values."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import msgspec


class Envelope(msgspec.Struct, frozen=True):
    """Sender and recipients of one transaction."""

    mail_from: str
    """The return path; empty for the null sender."""
    recipients: tuple[tuple[int, str], ...]
    """(index in the message's recipients, address)."""
    smtputf8: bool = False
    """Whether an address has a non-ASCII local part (RFC 6531)."""


class Reply(msgspec.Struct, frozen=True):
    """One reply (RFC 5321 section 4.2)."""

    code: int
    enhanced: str = ""
    """The enhanced status code (RFC 3463), when the server gave one."""
    text: str = ""
    """The text, lines joined by a space, control characters replaced, at most 200 characters."""


class Stage(IntEnum):
    """How far a transaction got; later stages compare greater."""

    CONNECT = 1
    TLS = 2
    BANNER = 3
    EHLO = 4
    AUTH = 5
    MAIL = 6
    RCPT = 7
    DATA = 8
    MESSAGE = 9


class Transaction(msgspec.Struct, frozen=True):
    """Everything that one transaction came to."""

    stage: Stage
    mail: Reply | None = None
    recipients: dict[int, Reply] = {}
    """Replies to RCPT by index."""
    data: Reply | None = None
    """The reply to DATA when it was refused, else the reply to the message."""
    trouble: str = ""
    """Why the session broke: connection refused, timed out, connection lost, ...; else empty."""
    trouble_reply: Reply | None = None
    """The reply that ended the session's set-up, such as a banner of 421."""
    dot_sent: bool = False
    """Whether the final dot may have reached the server."""
    bytes_sent: int = 0


class Lease(Protocol):
    """The right to send, asked before DATA and before the final dot."""

    def holds(self) -> bool:
        """Whether the right still holds."""
        ...

    async def before_dot(self) -> bool:
        """Whether the final dot may be sent."""
        ...


class Broken(Exception):
    """The session cannot go on; ends at the session's edge as `Transaction.trouble`."""

    def __init__(self, why: str, reply: Reply | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.reply = reply
