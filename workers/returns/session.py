"""One session with a client that brings mail back: its commands in order, and what they may cost.

RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES and STARTTLS. It takes mail
and never sends any: a recipient that is none of ours is refused at RCPT, so nothing has to be sent
back. 250 after the message means that what it says is stored. Nobody can sign in, nor ask who is
here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import msgspec

from shared.errors import StoreError
from workers.returns.paths import argument
from workers.returns.recipients import Mailbox, Refusal
from workers.returns.wire import Gone, LineTooLong, NoRoom, Room, TooLarge, TooSlow, Wire

_AGAIN = "421 4.3.2 {} closes the session, come back later"
_SAID = {
    b"NOOP": "250 2.0.0 ok",
    b"QUIT": "221 2.0.0 bye",
    b"VRFY": "252 2.1.5 send mail and see",  # RFC 5321 section 3.5.3: looked up is nobody.
    b"HELP": "214 2.0.0 bounces and complaints about mail that was sent from here",
}
_MAIL_PARAMETERS = {"SIZE", "BODY", "SMTPUTF8"}


class Limits(msgspec.Struct, frozen=True):
    """What one session may take; seconds where nothing else is said."""

    message_bytes: int
    line_bytes: int = 2048
    """512 (RFC 5321 section 4.5.3.1.4), and what extensions add."""
    recipients: int = 10
    commands: int = 2000
    messages: int = 200
    errors: int = 20
    command: float = 300.0
    """RFC 5321 section 4.5.3.2.7."""
    hurried: float = 10.0
    """The same while places are short."""
    silence: float = 120.0
    """Within a message."""
    message: float = 600.0
    """From 354 to the final dot."""
    whole: float = 1800.0
    """After that no new transaction begins; one that lasts as long again as a message may, ends."""


class Envelope(msgspec.Struct):
    """One transaction so far."""

    sender: str
    helo: str
    peer: str
    encrypted: bool
    recipients: list[str] = []
    mailboxes: list[Mailbox] = []


class Door(Protocol):
    """What sessions share: the server, as they see it."""

    name: str
    limits: Limits
    room: Room

    @property
    def stopping(self) -> bool:
        """Whether no new transaction may begin."""
        ...

    @property
    def crowded(self) -> bool:
        """Whether places are short."""
        ...

    def tls(self) -> ssl.SSLContext | None:
        """The certificate, when there is one."""
        ...

    def mailbox(self, address: str) -> Mailbox | Refusal:
        """Whose address it is."""
        ...

    async def take(self, envelope: Envelope, message: bytes) -> None:
        """Store what a message says. Raises `StoreError`."""
        ...


class Session:
    """See the module."""

    def __init__(self, wire: Wire, door: Door) -> None:
        self._wire = wire
        self._door = door
        self._limits = door.limits
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._helo = ""
        self._envelope: Envelope | None = None
        self._commands = self._messages = self._errors = 0
        self.waiting_since: float | None = None
        """Since when it waits for a command (the loop's clock)."""

    async def run(self) -> None:
        """From the greeting to the end. Never raises."""
        try:
            await self._wire.say(f"220 {self._door.name} ESMTP Posthaste")
            while await self._next():
                pass
        except (LineTooLong, TooSlow):
            self._wire.tell(_AGAIN.format(self._door.name))
        except Gone:
            pass
        finally:
            self._wire.close()

    @property
    def in_transaction(self) -> bool:
        """Whether MAIL was taken, and no message yet."""
        return self._envelope is not None

    def send_away(self) -> None:
        """End it, where it waits for a command; then it waits no longer."""
        if self.waiting_since is not None:
            self.waiting_since = None
            self._wire.tell(_AGAIN.format(self._door.name))
            self._wire.end()

    async def _next(self) -> bool:
        """Answer one command; whether there may be another."""
        limits, door = self._limits, self._door
        age = self._loop.time() - self._began
        over = age > limits.whole + limits.message or (
            self._envelope is None
            and (door.stopping or self._messages >= limits.messages or age > limits.whole)
        )
        if over or self._commands >= limits.commands or self._errors >= limits.errors:
            await self._wire.say(_AGAIN.format(door.name))
            return False
        seconds = limits.hurried if door.crowded else limits.command
        self.waiting_since = self._loop.time()
        try:
            line = await self._wire.line(limits.line_bytes, seconds)
        finally:
            self.waiting_since = None
        self._commands += 1
        reply = await self._answer(line)
        if reply[:1] == "5":
            self._errors += 1
        if reply:
            await self._wire.say(reply)
        return not reply.startswith("221")

    async def _answer(self, line: bytes) -> str:
        verb, _, rest = line.partition(b" ")
        if b"\r" in line or b"\n" in line or b"\0" in line:
            return "500 5.5.2 a line ends with CRLF"
        word = verb.upper()
        if word in _SAID:
            return _SAID[word]
        match word:
            case b"MAIL":
                return self._mail(rest)
            case b"RCPT":
                return self._rcpt(rest)
            case b"DATA":
                return await self._data(rest)
            case b"EHLO" | b"HELO":
                return self._hello(rest, extended=word == b"EHLO")
            case b"STARTTLS":
                return await self._starttls(rest)
            case b"RSET":
                self._envelope = None
                return "250 2.0.0 ok"
        return "500 5.5.1 no such command here"

    def _hello(self, rest: bytes, *, extended: bool) -> str:
        name = rest.strip().decode("ascii", "replace")
        if not name or not name.isprintable():
            return "501 5.5.4 say who you are"
        self._helo, self._envelope = name[:255], None
        if not extended:
            return f"250 {self._door.name}"
        offered = ["PIPELINING", f"SIZE {self._limits.message_bytes}", "8BITMIME", "SMTPUTF8"]
        if self._door.tls() is not None and not self._wire.encrypted:
            offered.append("STARTTLS")
        lines = [self._door.name, *offered]
        return "".join(f"250-{each}\r\n" for each in lines) + "250 ENHANCEDSTATUSCODES"

    async def _starttls(self, rest: bytes) -> str:
        context = self._door.tls()
        if context is None or self._wire.encrypted:
            return "503 5.5.1 not offered"
        if rest.strip():
            return "501 5.5.4 STARTTLS takes no argument"
        if self._wire.unread:  # Commands sent ahead would seem to have come encrypted.
            raise Gone
        self._wire.tell("220 2.0.0 go ahead")  # Without a wait in which more could come.
        await self._wire.encrypt(context)
        self._helo, self._envelope = "", None
        return ""

    def _mail(self, rest: bytes) -> str:
        if not self._helo:
            return "503 5.5.1 EHLO comes first"
        if self._envelope is not None:
            return "503 5.5.1 one message at a time"
        if self._door.stopping:
            return "451 4.3.2 come back later"
        found = argument(rest, b"FROM")
        if found is None:
            return "501 5.1.7 MAIL FROM:<address>"
        given = found.parameters
        size = given.get("SIZE", "0")
        if given.keys() - _MAIL_PARAMETERS:
            return "555 5.5.4 unknown parameter"
        if not size.isdigit() or len(size) > 20 or given.get("BODY", "7BIT").upper() not in (
            "7BIT", "8BITMIME",
        ):  # fmt: skip
            return "501 5.5.4 wrong parameter"
        if int(size) > self._limits.message_bytes:
            return f"552 5.3.4 at most {self._limits.message_bytes} bytes"
        if not found.path.isascii() and "SMTPUTF8" not in given:
            return "553 5.6.7 that address needs SMTPUTF8"
        self._envelope = Envelope(found.path, self._helo, self._wire.peer, self._wire.encrypted)
        return "250 2.1.0 ok"

    def _rcpt(self, rest: bytes) -> str:
        envelope = self._envelope
        if envelope is None:
            return "503 5.5.1 MAIL comes first"
        found = argument(rest, b"TO")
        if found is None or not found.path:
            return "501 5.1.3 RCPT TO:<address>"
        if found.parameters:
            return "555 5.5.4 unknown parameter"
        if len(envelope.recipients) >= self._limits.recipients:
            return "452 4.5.3 too many recipients"
        mailbox = self._door.mailbox(found.path)
        if not isinstance(mailbox, Mailbox):
            return "550 5.1.1 nobody has this address"
        envelope.recipients.append(found.path)
        envelope.mailboxes.append(mailbox)
        return "250 2.1.5 ok"

    async def _data(self, rest: bytes) -> str:
        envelope, limits = self._envelope, self._limits
        if envelope is None or not envelope.recipients:
            return "503 5.5.1 RCPT comes first" if envelope is None else "554 5.5.1 no recipients"
        if rest.strip():
            return "501 5.5.4 DATA takes no argument"
        self._messages += 1
        await self._wire.say("354 end with a dot on a line of its own")
        room = self._door.room
        try:
            message = await self._wire.message(
                limits.message_bytes, limits.silence, limits.message, room
            )
        except TooLarge:
            return f"552 5.3.4 at most {limits.message_bytes} bytes"
        except NoRoom:
            return "452 4.3.1 no room for it now"
        finally:
            self._envelope = None
        try:
            await self._door.take(envelope, message)
        except StoreError:
            return "451 4.3.0 it cannot be stored now"
        finally:
            room.give_back(len(message))
        return "250 2.0.0 taken"
