"""A scripted SMTP server: answers as told, keeps what it got, byte for byte.

`answers[verb]` is what it says to a verb (`banner`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `.`, or the
first word of any other line, upper case; `RCPT a@b.test` for one recipient): a reply line, `drop`
to close without one, `stall` to say nothing until `release()`, `drip` to say it a byte at a time,
`flood` to talk without end, or a list of these, used up one by one, after which the usual reply
applies. `on_message` is called before `.`
is answered, after `pause_seconds`. With a `context` it speaks TLS, from the start when `implicit`;
`users` may sign in.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

USUAL = {
    "banner": "220 test.example ESMTP",
    "EHLO": "250-test.example\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250 ENHANCEDSTATUSCODES",
    "HELO": "250 test.example",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "full": "452 4.5.3 Error: too many recipients",
    "DATA": "354 go ahead",
    ".": "250 2.0.0 Ok",
    "RSET": "250 2.0.0 Ok",
    "STARTTLS": "220 go",
    "AUTH": "235 2.7.0 welcome",
    "QUIT": "221 2.0.0 Bye",
}
NO_USUAL = "500 5.5.2 what?"


@dataclass
class Captured:
    """One message as it came."""

    mail_from: str
    recipients: list[str]
    raw: bytes
    """Between DATA's answer and the final dot, still dot-stuffed."""
    answered: bool = False

    @property
    def data(self) -> bytes:
        """The message, unstuffed."""
        lines = self.raw.split(b"\r\n")
        return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)

    def header(self, name: str) -> str:
        """A header's first line."""
        for line in self.data.split(b"\r\n\r\n")[0].split(b"\r\n"):
            key, _, value = line.decode().partition(": ")
            if key.lower() == name.lower():
                return value
        return ""


@dataclass
class SmtpServer:
    """A context manager on a free loopback port, of another loopback address by `host`."""

    answers: dict[str, str | list[str]] = field(default_factory=dict)
    on_message: Callable[[Captured], None] | None = None
    messages: list[Captured] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    """Connections that are open now."""
    most_open: int = 0
    began: list[float] = field(default_factory=list)
    """When each connection came (monotonic)."""
    pause_seconds: float = 0.0
    most_recipients: int = 0
    """Of one transaction; to the next one it says `full`. 0: any number."""
    peers: list[str] = field(default_factory=list)
    """The address each connection came from."""
    port: int = 0
    host: str = "127.0.0.1"
    context: ssl.SSLContext | None = None
    implicit: bool = False
    users: dict[str, str] = field(default_factory=dict)
    secured: list[str] = field(default_factory=list)
    """The TLS version of each connection that had its handshake."""
    signed_in: list[str] = field(default_factory=list)
    """Mechanism and user of each sign-in that succeeded."""

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> SmtpServer:
        started = threading.Event()

        def run() -> None:
            self._server = self._loop.run_until_complete(
                asyncio.start_server(
                    self._accept,
                    self.host,
                    self.port,
                    limit=2**20,
                    ssl=self.context if self.implicit else None,
                )
            )
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self._finish())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _finish(self) -> None:
        """End every conversation, then let the transports close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def release(self) -> None:
        """End every stall, now and later."""
        self._loop.call_soon_threadsafe(self._released.set)

    def hang_up(self) -> None:
        """Close every connection, as a server does that is stopped."""

        def cancel() -> None:
            for task in self._tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    def wait_for(self, count: int, seconds: float = 20) -> list[Captured]:
        """The messages answered with 250, once there are `count`."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.answered()) >= count, seconds)
            assert found, f"{len(self.answered())} of {count} messages after {seconds} s"
            return self.answered()

    def wait_until(self, what: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for anything that changes when this server gets or answers something."""
        with self._changed:
            assert self._changed.wait_for(what, seconds)

    def answered(self) -> list[Captured]:
        """The messages answered with 250."""
        return [message for message in self.messages if message.answered]

    def _answer(self, verb: str) -> str:
        told = self.answers.get(verb)
        if isinstance(told, list):
            return told.pop(0) if told else USUAL.get(verb, NO_USUAL)
        return told if told is not None else USUAL.get(verb, NO_USUAL)

    def _which(self, verb: str, line: str, recipients: list[str]) -> str:
        """The script's name of the answer to a line."""
        if verb != "RCPT":
            return verb
        own = f"RCPT {line.partition('<')[2].partition('>')[0]}"
        if self.answers.get(own):
            return own
        return "full" if 0 < self.most_recipients <= len(recipients) else verb

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.began.append(time.monotonic())
        self.peers.append(writer.get_extra_info("peername")[0])
        try:
            await self._talk(reader, writer)
        except (ConnectionError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.open -= 1
            writer.transport.abort()

    async def _say(self, writer: asyncio.StreamWriter, verb: str) -> str:
        """Say what the script says; gives it."""
        answer = self._answer(verb)
        if answer == "stall":
            await self._released.wait()
            answer = USUAL.get(verb, NO_USUAL)
        if answer == "drop":
            raise ConnectionError("dropped by the script")
        if answer == "drip":
            for byte in USUAL.get(verb, NO_USUAL).encode():
                writer.write(bytes([byte]))
                await asyncio.sleep(0.1)
        while answer == "flood":
            writer.write(b"250-more\r\n" * 10_000)
            await writer.drain()
            await asyncio.sleep(0)  # Over TLS, draining alone does not notice that it was lost.
        writer.write(answer.encode("latin-1") + b"\r\n")
        return answer

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.implicit:
            self._note_tls(writer)
        await self._say(writer, "banner")
        sender = ""
        recipients: list[str] = []
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            verb = line.split(" ")[0].upper()
            with self._changed:
                self.commands.append(line)
                self._changed.notify_all()
            if verb == "AUTH" and verb not in self.answers:
                await self._sign_in(line, reader, writer)
                continue
            answer = await self._say(writer, self._which(verb, line, recipients))
            if verb == "STARTTLS" and answer == "220 go" and self.context is not None:
                await writer.start_tls(self.context)
                self._note_tls(writer)
            elif verb == "MAIL":
                sender, recipients = line.partition("<")[2].partition(">")[0], []
            elif verb == "RCPT" and answer.startswith("2"):
                recipients.append(line.partition("<")[2].partition(">")[0])
            elif verb == "DATA" and answer.startswith("354"):
                await self._message(reader, writer, sender, recipients)
            elif verb == "QUIT":
                return

    def _note_tls(self, writer: asyncio.StreamWriter) -> None:
        with self._changed:
            self.secured.append(str(writer.get_extra_info("ssl_object").version()))

    async def _sign_in(
        self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """AUTH, by the book of each mechanism."""

        async def ask(challenge: str) -> str:
            writer.write(f"334 {base64.b64encode(challenge.encode()).decode()}\r\n".encode())
            return base64.b64decode((await reader.readline()).strip()).decode()

        _, mechanism, *initial = line.split(" ")
        given = base64.b64decode(initial[0]).decode() if initial else ""
        if mechanism == "PLAIN":
            _, user, password = given.split("\0")
            good = self.users.get(user) == password
        elif mechanism == "LOGIN":
            user, password = await ask("Username:"), await ask("Password:")
            good = self.users.get(user) == password
        elif mechanism == "CRAM-MD5":
            challenge = "<1896.697170952@test.example>"
            user, digest = (await ask(challenge)).split(" ")
            key = self.users.get(user, "").encode()
            good = hmac.new(key, challenge.encode(), "md5").hexdigest() == digest
        else:
            user, bearer = given.removeprefix("user=").removesuffix("\1\1").split("\1")
            good = bearer == f"auth=Bearer {self.users.get(user)}"
            if not good:
                assert await ask('{"status":"401"}') == ""
        if good:
            with self._changed:
                self.signed_in.append(f"{mechanism} {user}")
        writer.write(b"235 2.7.0 welcome\r\n" if good else b"535 5.7.8 no\r\n")

    async def _message(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sender: str,
        recipients: list[str],
    ) -> None:
        raw = bytearray()
        while not (raw.endswith(b"\r\n.\r\n") or raw == b".\r\n"):
            raw += await reader.readuntil(b"\n")
        message = Captured(sender, recipients, bytes(raw[:-3]))
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()
        if self.on_message is not None:
            self.on_message(message)
        if self.pause_seconds:
            await asyncio.sleep(self.pause_seconds)
        answer = await self._say(writer, ".")
        with self._changed:
            message.answered = answer.startswith("2")
            self._changed.notify_all()
