"""One mail transaction on an open session: MAIL, RCPT, DATA, the message (RFC 5321 section 3.3).

With PIPELINING the envelope is one write, every reply is matched and checked by counting, and the
next delivery's envelope goes along with this message's data (RFC 2920 section 3.1 allows both).
`run` raises `Broken` when the session cannot go on; `result` tells how far this delivery came, and
`following` is the one whose envelope is on the wire already.
"""

from __future__ import annotations

import asyncio

from workers.smtp.replies import command, path, xtext
from workers.smtp.session import Session
from workers.smtp.types import (
    LEASE_LOST,
    Ahead,
    Broken,
    Delivery,
    Envelope,
    Reply,
    Stage,
    Transaction,
)

BLOCK_BYTES = 64 * 1024
AHEAD_PATIENCE_SECONDS = 5.0
"""How long the reply to a message may keep the delivery behind it waiting."""

_DOT = b".\r\n"
_DATA = b"DATA\r\n"


def stuff(message: bytes) -> bytes:
    """`message`, which ends in CRLF, dot-stuffed (RFC 5321 section 4.5.2)."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def prepare(delivery: Delivery, offered: dict[str, str], dsn: str) -> Transaction | None:
    """Make its commands for a server; or what it comes to, when it cannot be sent there."""
    envelope = delivery.envelope
    if envelope.smtputf8 and "SMTPUTF8" not in offered:
        # RFC 6531 section 3.2: there is no other form of it that this server could take.
        return _refused(envelope, Reply(553, "5.6.7", "the server does not support SMTPUTF8"))
    if envelope.eight_bit and "8BITMIME" not in offered:
        return Transaction(Stage.MAIL, seven_bit_only=True)
    limit = offered.get("SIZE", "")
    if limit.isdecimal() and 0 < int(limit) < len(delivery.message):
        # RFC 1870 section 6.2: a message larger than the fixed maximum need not be tried.
        text = f"message of {len(delivery.message)} octets, the server takes {int(limit)}"
        return _refused(envelope, Reply(552, "5.3.4", text))
    try:
        delivery.commands = commands(envelope, len(delivery.message), offered, dsn)
    except Broken as broken:  # Nothing that validation lets through comes here.
        return _refused(envelope, Reply(553, "5.1.3", broken.why))
    return None


def _refused(envelope: Envelope, reply: Reply) -> Transaction:
    return Transaction(Stage.MAIL, recipients={index: reply for index, _ in envelope.recipients})


def commands(envelope: Envelope, size: int, offered: dict[str, str], dsn: str) -> list[bytes]:
    """MAIL and every RCPT, with the parameters that the server offered. Raises `Broken`."""
    mail = f"MAIL FROM:{path(envelope.mail_from)}"
    if "SIZE" in offered:
        mail += f" SIZE={size}"
    if envelope.smtputf8:
        mail += " SMTPUTF8"
    if (envelope.eight_bit or envelope.smtputf8) and "8BITMIME" in offered:
        mail += " BODY=8BITMIME"
    with_dsn = dsn != "off" and "DSN" in offered
    if with_dsn:
        mail += f" RET=HDRS ENVID={xtext(envelope.envid)}" if envelope.envid else " RET=HDRS"
    lines = [command(mail)]
    for _, to in envelope.recipients:
        text = f"RCPT TO:{path(to)}"
        if with_dsn:
            text += f" NOTIFY={dsn.upper()}"
            if to.isascii():
                text += f" ORCPT=rfc822;{xtext(to)}"
        lines.append(command(text))
    return lines


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
        )

    def is_untouched(self) -> bool:
        """Whether the server has said nothing about this delivery, or only that it is closing."""
        return self._mail is None or self._mail.code == 421

    async def run(self, ahead: Ahead | None) -> bool:
        """The transaction. True when the session is clean for another one. Raises `Broken`."""
        if self.delivery.result.done() or not self.delivery.lease.holds():
            raise Broken(LEASE_LOST)
        if not self._on_the_wire:
            self._wire.expect_quiet()
        if self._on_the_wire:
            accepted = await self._read_group()
        elif "PIPELINING" in self._session.offered:
            self._wire.write(b"".join((*self.delivery.commands, _DATA)))
            accepted = await self._read_group()
        else:
            accepted = await self._one_by_one()
            if not accepted:
                return await self._reset()
            self._wire.write(_DATA)
            ahead = None
        reply = await self._wire.reply(self._wait.data)
        if reply.code // 100 == 2:
            raise Broken("protocol error")  # It answers something else, or is no SMTP server.
        if reply.code // 100 != 3:
            if accepted:
                self._data = reply
            return await self._reset()
        if not accepted:
            # RFC 2920 section 3.1: every RCPT was refused, yet DATA was not: end it empty.
            self._wire.write(_DOT)
            await self._wire.reply(self._wait.final)
            return await self._reset()
        return await self._message(ahead)

    async def _read_group(self) -> bool:
        """The replies to MAIL and every RCPT, each one checked (RFC 2920 section 3.1)."""
        wire, seconds = self._wire, self._wait.command
        self._mail = mail = await wire.reply(seconds)
        self._stage = Stage.RCPT
        if mail.code == 421:
            raise Broken("the server is closing")
        accepted = False
        for index, _ in self.delivery.envelope.recipients:
            reply = await wire.reply(seconds)
            if mail.code // 100 == 2:  # Otherwise it only says "MAIL first".
                self._recipients[index] = reply
                accepted = accepted or reply.code // 100 == 2
        self._stage = Stage.DATA
        return accepted

    async def _one_by_one(self) -> bool:
        mail, *recipients = self.delivery.commands
        self._wire.write(mail)
        self._mail = await self._wire.reply(self._wait.command)
        if self._mail.code // 100 != 2:
            return False
        self._stage = Stage.RCPT
        accepted = False
        for line, (index, _) in zip(recipients, self.delivery.envelope.recipients, strict=True):
            self._wire.write(line)
            reply = await self._wire.reply(self._wait.command)
            self._recipients[index] = reply
            accepted = accepted or reply.code // 100 == 2
            if reply.code == 421:
                raise Broken("the server is closing")
        self._stage = Stage.DATA
        return accepted

    async def _message(self, ahead: Ahead | None) -> bool:
        if not self._wire.is_quiet():
            return await self._early_reply()
        stuffed = stuff(self.delivery.message)
        last = max(0, len(stuffed) - 1) // BLOCK_BYTES * BLOCK_BYTES
        if last and not await self._blocks(stuffed, last):
            return await self._early_reply()
        if not await self.delivery.lease.before_dot():
            raise Broken(LEASE_LOST)
        end = stuffed[last:] + _DOT
        behind = self._take_following(ahead)
        self._wire.write(end + behind if behind else end)
        self._dot_sent = True
        self._bytes_sent += len(end)
        await self._wire.drained(self._seconds_for(len(end)))
        self._stage = Stage.MESSAGE
        self._data = await self._final_reply(ahead)
        return self._data.code != 421 and not self._abandoned

    async def _early_reply(self) -> bool:
        """The server has made up its mind before the end: the session is of no more use."""
        reply = await self._wire.reply(self._wait.final)
        if reply.code // 100 not in (4, 5):
            raise Broken("protocol error")
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
        delivery = ahead.take() if ahead is not None else None
        if delivery is None:
            return b""
        self.following = delivery
        return b"".join((*delivery.commands, _DATA))

    async def _final_reply(self, ahead: Ahead | None) -> Reply:
        if self.following is None or ahead is None:
            return await self._wire.reply(self._wait.final)
        patience = min(AHEAD_PATIENCE_SECONDS, self._wait.final)
        reply = await self._wire.reply_within(patience)
        if reply is None:
            waiting, self.following = self.following, None
            self._abandoned = True
            ahead.give_back(waiting)
            reply = await self._wire.reply(max(self._wait.final - patience, 0.01))
        return reply

    async def _reset(self) -> bool:
        """RSET after a refused transaction. False when the server is ending the session."""
        replies = [self._mail, self._data, *self._recipients.values()]
        if any(reply is not None and reply.code == 421 for reply in replies):
            return False
        self._wire.write(b"RSET\r\n")
        reply = await self._wire.reply(self._wait.command)
        return reply.code // 100 == 2
