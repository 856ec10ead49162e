"""The commands and replies of one transaction (RFC 5321 section 3.3), pipelined where offered.

Takes a session's wire and what it was offered; `run` raises `Broken` or `OSError` when the session
cannot go on, and `result` tells how far it came.
"""

from __future__ import annotations

from workers.smtp.relay import Relay
from workers.smtp.types import Broken, Envelope, Lease, Reply, Stage, Transaction
from workers.smtp.wire import Wire, command

BLOCK_BYTES = 64 * 1024


def stuff(message: bytes) -> bytes:
    """`message`, which ends in CRLF, dot-stuffed (RFC 5321 section 4.5.2)."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


class Steps:
    """The commands and replies of one transaction."""

    def __init__(
        self, wire: Wire, relay: Relay, offered: dict[str, str], envelope: Envelope
    ) -> None:
        self._wire = wire
        self._wait = relay.timeouts
        self._offered = offered
        self._envelope = envelope
        self._stage = Stage.MAIL
        self._mail: Reply | None = None
        self._recipients: dict[int, Reply] = {}
        self._data: Reply | None = None
        self._dot_sent = False
        self._sent_before = wire.bytes_sent

    def result(self, broken: Broken | None) -> Transaction:
        """What happened so far."""
        return Transaction(
            stage=self._stage,
            mail=self._mail,
            recipients=self._recipients,
            data=self._data,
            trouble=broken.why if broken else "",
            trouble_reply=broken.reply if broken else None,
            dot_sent=self._dot_sent,
            bytes_sent=self._wire.bytes_sent - self._sent_before,
        )

    async def run(self, message: bytes, lease: Lease) -> bool:
        """The transaction. True when the session is clean for another one."""
        if self._envelope.smtputf8 and "SMTPUTF8" not in self._offered:
            # RFC 6531 section 3.2: not sent; there is no form of it that this server could take.
            refusal = Reply(553, "5.6.7", "the server does not support SMTPUTF8")
            self._recipients = {index: refusal for index, _ in self._envelope.recipients}
            return True
        mail = command(self._mail_command(len(message)))
        recipients = [command(f"RCPT TO:<{to}>") for _, to in self._envelope.recipients]
        if "PIPELINING" in self._offered:
            self._wire.write(b"".join((mail, *recipients, b"DATA\r\n")))
            accepted = await self._read_group()
            reply = await self._wire.reply(self._wait.data)
        else:
            accepted = await self._one_by_one(mail, recipients)
            if not accepted:
                return await self._reset()
            self._wire.write(b"DATA\r\n")
            reply = await self._wire.reply(self._wait.data)
        return await self._after_data(reply, accepted, message, lease)

    def _mail_command(self, size: int) -> str:
        text = f"MAIL FROM:<{self._envelope.mail_from}>"
        if "SIZE" in self._offered:
            text += f" SIZE={size}"
        if self._envelope.smtputf8:
            text += " SMTPUTF8"
            if "8BITMIME" in self._offered:
                text += " BODY=8BITMIME"
        return text

    async def _read_group(self) -> bool:
        """The replies to MAIL and every RCPT, each one checked (RFC 2920 section 3.1)."""
        self._mail = await self._wire.reply(self._wait.command)
        self._stage = Stage.RCPT
        for index, _ in self._envelope.recipients:
            reply = await self._wire.reply(self._wait.command)
            if self._mail.code // 100 == 2:  # Otherwise it only says "MAIL first".
                self._recipients[index] = reply
        self._stage = Stage.DATA
        return self._any_accepted()

    def _any_accepted(self) -> bool:
        return any(reply.code // 100 == 2 for reply in self._recipients.values())

    async def _one_by_one(self, mail: bytes, recipients: list[bytes]) -> bool:
        self._wire.write(mail)
        self._mail = await self._wire.reply(self._wait.command)
        if self._mail.code // 100 != 2:
            return False
        self._stage = Stage.RCPT
        for line, (index, _) in zip(recipients, self._envelope.recipients, strict=True):
            self._wire.write(line)
            self._recipients[index] = await self._wire.reply(self._wait.command)
        self._stage = Stage.DATA
        return self._any_accepted()

    async def _after_data(self, reply: Reply, accepted: bool, message: bytes, lease: Lease) -> bool:
        if reply.code != 354:
            if accepted:
                self._data = reply
            return await self._reset()
        if not accepted:
            # RFC 2920 section 3.1: every RCPT was refused, yet DATA was not: end it empty.
            self._wire.write(b".\r\n")
            await self._wire.reply(self._wait.final)
            return await self._reset()
        await self._send(stuff(message), lease)
        self._stage = Stage.MESSAGE
        self._data = await self._wire.reply(self._wait.final)
        return self._data.code != 421

    async def _send(self, stuffed: bytes, lease: Lease) -> None:
        """The message in blocks; the last one, with the dot, only while the lease holds."""
        last = max(0, len(stuffed) - 1) // BLOCK_BYTES * BLOCK_BYTES
        for at in range(0, last, BLOCK_BYTES):
            if not lease.holds():
                raise Broken("lease lost")
            self._wire.write(stuffed[at : at + BLOCK_BYTES])
            await self._wire.drained(self._wait.block)
        if not await lease.before_dot():
            raise Broken("lease lost")
        self._dot_sent = True
        self._wire.write(stuffed[last:] + b".\r\n")
        await self._wire.drained(self._wait.block)

    async def _reset(self) -> bool:
        """RSET after a refused transaction. False when the server is ending the session."""
        replies = [self._mail, self._data, *self._recipients.values()]
        if any(reply is not None and reply.code == 421 for reply in replies):
            return False
        self._wire.write(b"RSET\r\n")
        reply = await self._wire.reply(self._wait.command)
        return reply.code // 100 == 2
