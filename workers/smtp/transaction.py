"""One mail transaction on an open session: MAIL, RCPT, DATA, the message (RFC 5321 section 3.3).

With PIPELINING the envelope is one write, every reply is matched and checked by counting, and the
next delivery's envelope goes along with this message's data (RFC 2920 section 3.1 allows both),
unless the server takes its time for messages.
`run` raises `Broken` when the session cannot go on; `result` tells how far this delivery came, and
`following` is the one whose envelope is on the wire already.
"""

from __future__ import annotations

import asyncio

import msgspec

from workers.smtp.session import Session
from workers.smtp.types import (
    CLOSING,
    LEASE_LOST,
    Ahead,
    Broken,
    Delivery,
    OutOfStep,
    Reply,
    Stage,
    Transaction,
)

BLOCK_BYTES = 64 * 1024
AHEAD_PATIENCE_SECONDS = 5.0
"""How long the reply to a message may keep the delivery behind it waiting."""

_DOT = b".\r\n"
_DATA = b"DATA\r\n"
_RSET = b"RSET\r\n"


def stuff(message: bytes) -> bytes:
    """`message`, which ends in CRLF, dot-stuffed (RFC 5321 section 4.5.2)."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


class Steps:
    """The commands and replies of one delivery."""

    def __init__(self, session: Session, delivery: Delivery, *, on_the_wire: bool = False) -> None:
        self.delivery = delivery
        self.following: Delivery | None = None
        self._session = session
        self._wire = session.wire
        self._wait = session.relay.timeouts
        self._on_the_wire = on_the_wire
        self._stage = Stage.MAIL
        self._mail: Reply | None = None
        self._recipients: dict[int, Reply] = {}
        self._data: Reply | None = None
        self._dot_sent = False
        self._bytes_sent = 0
        self._abandoned = False
        """Whether an envelope is on the wire that nobody will go on with."""

    def result(self, trouble: str = "") -> Transaction:
        """What happened so far."""
        return Transaction(
            self._stage,
            self._mail,
            self._recipients,
            self._data,
            trouble,
            None,
            self._dot_sent,
            self._bytes_sent,
            False,
            self._session.protection,
            self._session.place.shown,
        )

    def is_untouched(self) -> bool:
        """Whether the server has said nothing about this delivery, or only that it is closing."""
        return self._mail is None or self._mail.code == CLOSING

    async def run(self, ahead: Ahead | None) -> bool:
        """The transaction. True when the session is clean for another one. Raises `Broken`."""
        if self.delivery.result.done() or not self.delivery.lease.holds():
            raise Broken(LEASE_LOST)
        if self._on_the_wire:
            accepted = await self._read_group()
        elif "PIPELINING" in self._session.offered:
            self._say(b"".join((*self.delivery.commands, _DATA)))
            began = self._wire.now()
            accepted = await self._read_group()
            self._session.envelope_seconds = self._wire.now() - began
        else:
            ahead = None
            accepted = await self._one_by_one()
            if not accepted:
                return await self._reset()
            self._say(_DATA)
        reply = await self._wire.reply(self._wait.data)
        digit = reply.code // 100
        if digit == 2:  # It answers something else, or is no SMTP server.
            raise OutOfStep("protocol error")
        if digit == 3:
            return await (self._message(ahead) if accepted else self._empty())
        if accepted:
            self._data = reply
        return reply.code != CLOSING and await self._reset()

    def discard(self) -> None:
        """Forget what was said about the recipients: it may have answered something else.

        Once the final dot is out, the 354 before it has shown that it did not.
        """
        if not self._dot_sent:
            self._recipients = {}
            self._data = None

    def _say(self, line: bytes) -> None:
        """Send a command that answers are counted from. Raises `OutOfStep` when some are there."""
        self._wire.expect_quiet()
        self._wire.write(line)

    def _heard_mail(self, reply: Reply) -> bool:
        """Take the reply to MAIL; whether it was accepted."""
        _check(reply)
        self._mail = reply
        self._stage = Stage.RCPT
        if reply.code == CLOSING:
            raise Broken("the server is closing")
        return reply.code // 100 == 2

    def _heard_rcpt(self, index: int, reply: Reply) -> bool:
        """Take the reply to a RCPT; whether it was accepted."""
        _check(reply)
        self._recipients[index] = reply
        if reply.code == CLOSING:
            raise Broken("the server is closing")
        return reply.code // 100 == 2

    async def _read_group(self) -> bool:
        """The replies to MAIL and every RCPT, each one checked (RFC 2920 section 3.1)."""
        wire, seconds = self._wire, self._wait.command
        taken = self._heard_mail(await wire.reply(seconds))
        accepted = False
        for index, _ in self.delivery.envelope.recipients:
            reply = await wire.reply(seconds)
            if taken:  # Otherwise it only says "MAIL first".
                accepted = self._heard_rcpt(index, reply) or accepted
        self._stage = Stage.DATA
        return accepted

    async def _one_by_one(self) -> bool:
        """The same without PIPELINING."""
        wire, seconds = self._wire, self._wait.command
        mail, *recipients = self.delivery.commands
        self._say(mail)
        if not self._heard_mail(await wire.reply(seconds)):
            return False
        accepted = False
        for line, (index, _) in zip(recipients, self.delivery.envelope.recipients, strict=True):
            self._say(line)
            accepted = self._heard_rcpt(index, await wire.reply(seconds)) or accepted
        self._stage = Stage.DATA
        return accepted

    async def _empty(self) -> bool:
        """End data that is for nobody (RFC 2920 section 3.1: RCPTs were refused, DATA was not)."""
        self._say(_DOT)
        reply = await self._wire.reply(self._wait.final)
        _check(reply)
        return reply.code != CLOSING and await self._reset()

    async def _message(self, ahead: Ahead | None) -> bool:
        if not self._wire.is_quiet():
            return await self._early_reply()
        stuffed = stuff(self.delivery.message)
        last = max(0, len(stuffed) - 1) // BLOCK_BYTES * BLOCK_BYTES
        if last and not await self._blocks(stuffed, last):
            return await self._early_reply()
        if not await self.delivery.lease.before_dot(lambda: self._at_dot(len(stuffed))):
            raise Broken(LEASE_LOST)
        reply = await self._end(stuffed[last:] + _DOT, ahead)
        _check(reply)
        self._data = reply
        return reply.code != CLOSING and not self._abandoned

    def _at_dot(self, size: int) -> Transaction:
        """The transaction as it will be known if nothing is heard after the dot."""
        return msgspec.structs.replace(self.result(), dot_sent=True, bytes_sent=size + len(_DOT))

    async def _end(self, end: bytes, ahead: Ahead | None) -> Reply:
        """Send the last block, the dot and the envelope ahead; gives the reply to the message."""
        behind = self._take_following(ahead)
        written = end + behind if behind else end
        self._wire.write(written)
        self._dot_sent = True
        self._bytes_sent += len(end)
        try:
            await self._wire.drained(self._seconds_for(len(end)))
            self._stage = Stage.MESSAGE
            began = self._wire.now()
            reply = await self._final_reply(ahead)
            self._session.message_seconds = self._wire.now() - began
        except Broken:
            if self._wire.holds_back(len(written)):  # The session ends, so it never will be sent.
                self._dot_sent = False
                self._bytes_sent -= len(end)
            raise
        return reply

    async def _early_reply(self) -> bool:
        """The server has made up its mind before the end: the session is of no more use."""
        reply = await self._wire.reply(self._wait.final)
        if reply.code // 100 not in (4, 5):
            raise OutOfStep("protocol error")
        self._data = reply
        return False

    async def _blocks(self, stuffed: bytes, last: int) -> bool:
        """All but the last block, while the lease holds. False when the server speaks first."""
        for at in range(0, last, BLOCK_BYTES):
            if not self.delivery.lease.holds():
                raise Broken(LEASE_LOST)
            self._wire.write(stuffed[at : at + BLOCK_BYTES])
            self._bytes_sent += BLOCK_BYTES
            await asyncio.sleep(0)  # Others have their turn, and a lost connection is noticed.
            if not await self._wire.drained(self._seconds_for(BLOCK_BYTES)):
                return False
        return True

    def _seconds_for(self, size: int) -> float:
        """The time in which a server at the least rate takes so much, if no more than a block's."""
        return min(self._wait.block, 1.0 + size / self._session.relay.min_bytes_per_second)

    def _take_following(self, ahead: Ahead | None) -> bytes:
        """The next delivery's envelope, which is from now on this session's to do."""
        if ahead is None or self._session.takes_its_time:
            return b""
        delivery = ahead.take()
        if delivery is None:
            return b""
        self.following = delivery
        return b"".join((*delivery.commands, _DATA))

    async def _final_reply(self, ahead: Ahead | None) -> Reply:
        """The reply to the message; the delivery behind it is not kept waiting until it begins."""
        wire, seconds = self._wire, self._wait.final
        if self.following is None or ahead is None:
            return await wire.reply(seconds)
        deadline = wire.now() + seconds
        if not await wire.begins(min(AHEAD_PATIENCE_SECONDS, seconds)):
            waiting, self.following = self.following, None
            self._abandoned = True
            ahead.give_back(waiting)
        return await wire.reply(max(deadline - wire.now(), 0.01))

    async def _reset(self) -> bool:
        """RSET after a refusal, which counts only when RSET's own answer is where it belongs."""
        try:
            self._say(_RSET)
            reply = await self._wire.reply(self._wait.command)
        except Broken:
            self.discard()
            raise
        if reply.code // 100 != 2:
            self.discard()
            raise Broken("RSET refused")
        return True


def _check(reply: Reply) -> None:
    """Raise `OutOfStep` for a reply that neither accepts nor refuses."""
    if reply.code // 100 == 3:
        raise OutOfStep("protocol error")
