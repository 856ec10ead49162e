"""What goes into a transaction and what comes out: plain values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

import msgspec

STOPPED = "stopped while waiting for the final reply"
"""The trouble of a transaction that this process ended because it stops."""
LEASE_LOST = "lease lost"
"""The trouble of a transaction that was ended because the right to send was gone."""
CLOSING = 421
"""The server ends the session, whatever it was asked (RFC 5321 section 3.8)."""


class Envelope(msgspec.Struct, frozen=True):
    """Sender and recipients of one transaction."""

    mail_from: str
    """The return path; empty for the null sender."""
    recipients: tuple[tuple[int, str], ...]
    """(index in the message's recipients, address)."""
    smtputf8: bool = False
    """Whether an address has a non-ASCII local part (RFC 6531)."""
    eight_bit: bool = False
    """Whether the message has 8-bit lines (RFC 6152)."""
    envid: str = ""
    """The envelope's name in delivery status notifications (RFC 3461 section 4.4)."""
    application: str = ""
    """Whose mail it is: applications take turns for sessions."""


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
    seven_bit_only: bool = False
    """Nothing was sent: the message has 8-bit lines, and the server takes none."""
    protection: str = ""
    """How opportunistic TLS went, such as `TLS unverified`, or that and why it was sent in plain
    text; else empty."""
    place: str = ""
    """The host and address, where the next hop has several; else empty."""


class Lease(Protocol):
    """The right to send, asked before DATA and before the final dot."""

    def holds(self) -> bool:
        """Whether the right still holds."""
        ...

    async def before_dot(self, so_far: Callable[[], Transaction]) -> bool:
        """Whether the final dot may be sent; `so_far` gives the transaction as if it had been."""
        ...


class Broken(Exception):
    """The session cannot go on; ends at the session's edge as `Transaction.trouble`."""

    def __init__(self, why: str, reply: Reply | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.reply = reply


class OutOfStep(Broken):
    """What the server says is no answer to what it was asked.

    Replies are matched by counting, so those before it may have been answers to something else.
    """


class Delivery:
    """One transaction to do: asked for by a caller, done by whichever session takes it."""

    __slots__ = ("commands", "envelope", "lease", "message", "result", "tries", "urgent")

    def __init__(
        self,
        envelope: Envelope,
        message: bytes,
        lease: Lease,
        urgent: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.envelope = envelope
        self.message = message
        """CRLF line ends, ends in CRLF, not dot-stuffed."""
        self.lease = lease
        self.urgent = urgent
        self.commands: list[bytes] = []
        """MAIL and every RCPT, as made for the session that has it."""
        self.tries = 0
        """Sessions that were lost before the server had said anything about it."""
        self.result: asyncio.Future[Transaction] = loop.create_future()

    def done(self, transaction: Transaction) -> None:
        """Answer the caller, if there still is one."""
        if not self.result.done():
            self.result.set_result(transaction)


class Ahead(Protocol):
    """Where a session gets the delivery whose envelope goes along with a message's data."""

    def take(self) -> Delivery | None:
        """The next delivery, or None when there is none or it may not go along."""
        ...

    def give_back(self, delivery: Delivery) -> None:
        """The delivery has been kept waiting: let another session have it."""
        ...
