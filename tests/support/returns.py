"""Mail that comes back, for tests: a server on a loop of its own, DSNs and complaints as text."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar, get_args

import msgspec

from shared.classification.meaning import Meaning
from shared.feedback.tokens import REFERENCE_HEADER, Tokens
from shared.feedback_settings import BounceSettings
from shared.metrics.returns import ReturnMetrics
from shared.settings import Settings
from tests.support.stores import Store
from workers.returns.match import Reason
from workers.returns.reception import Outcome, Reception
from workers.returns.recipients import Mailboxes, Refusal
from workers.returns.report import Kind
from workers.returns.server import Server
from workers.returns.session import Limits

T = TypeVar("T")
DOMAIN = "bounces.shop.test"
KEY = b"k" * 32
TOKENS = Tokens((KEY,))
SETTINGS = Settings(bounces=BounceSettings(domains=(DOMAIN,)))


def meaning(code: int, enhanced: str, text: str, provider: str) -> Meaning:
    """Enough of a classification: 550 and x.1.1 is a dead address."""
    del text, provider
    dead = code // 100 == 5 and enhanced[1:] in (".1.1", "")
    outcome: Any = "bounce" if code // 100 == 5 else "deferral"
    return Meaning(outcome, "mailbox_unknown" if dead else "other", "recipient", dead, "test")


def reception(
    store: Store, settings: Settings = SETTINGS, tokens: Tokens = TOKENS, **changed: Any
) -> Reception:
    """What takes mail that comes back to a test's store."""
    given: dict[str, Any] = {
        "mailboxes": Mailboxes(settings, tokens, store.clock),
        "tokens": tokens,
        "returns": store.returns,
        "stored": store.spool.get,
        "applications": lambda: ("app", "shop"),
        "sites": ("google",),
        "classify": meaning,
        "clock": store.clock,
        "bounces": settings.bounces,
    }
    return Reception(**(given | changed))


class Running:
    """A server for mail that comes back, and the loop that it runs on."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.server, self.port = server, port
        self._loop = loop

    def call(self, what: Callable[[], T]) -> T:
        """Do something on the loop."""

        async def work() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def stop(self, seconds: float) -> None:
        """Stop the server."""
        asyncio.run_coroutine_threadsafe(self.server.stop(seconds), self._loop).result(30)


@contextmanager
def serving(
    taker: Any, bounces: BounceSettings = SETTINGS.bounces, **limits: Any
) -> Iterator[Running]:
    """A server in this process; `taker` is a `Reception`, `limits` change those of sessions."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    metrics = ReturnMetrics(*map(get_args, (Kind, Outcome, Refusal, Reason)))
    changed = msgspec.structs.replace(Limits(bounces.max_message_bytes), **limits)

    async def start() -> tuple[Server, int]:
        server = Server(bounces, "mx.shop.test", taker, metrics, changed)
        return server, await server.listen("127.0.0.1", 0)

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    running = Running(server, loop, port)
    try:
        yield running
    finally:
        while Client.opened:
            Client.opened.pop().close()
        running.stop(0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Client:
    """A client that sends whatever it is told to, byte for byte."""

    opened: ClassVar[list[Client]] = []
    """Those that `serving` closes at its end."""

    def __init__(self, port: int, *, greeted: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._buffer = b""
        self.opened.append(self)
        if greeted:
            assert self.reply().startswith("220 ")

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def ask(self, line: str) -> str:
        """A command; the last line of its reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def reply(self) -> str:
        """The last line of the next reply; empty: the server has closed."""
        while True:
            line, end, rest = self._buffer.partition(b"\r\n")
            if end:
                self._buffer = rest
                if line[3:4] != b"-":
                    return line.decode()
                continue
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return ""
            if not data:
                return ""
            self._buffer += data

    def envelope(self, recipient: str, sender: str = "") -> None:
        """Up to DATA."""
        for line, wanted in (
            ("EHLO there.test", "250"), (f"MAIL FROM:<{sender}>", "250"),
            (f"RCPT TO:<{recipient}>", "250"), ("DATA", "354"),
        ):  # fmt: skip
            answer = self.ask(line)
            assert answer.startswith(wanted), (line, answer)

    def close(self) -> None:
        """Go."""
        self.socket.close()


def dsn(
    address: str,
    *,
    status: str = "5.1.1",
    code: str = "550 5.1.1 no such user",
    action: str = "failed",
    reference: str = "",
    top: str = "",
    original: str = "",
) -> bytes:
    """A bounce as Postfix writes it; `reference` stands in the original, `top` above it."""
    header = f"{REFERENCE_HEADER}: {reference}\n" if reference else ""
    own = f"{REFERENCE_HEADER}: {top}\n" if top else ""
    asked = f"Original-Recipient: rfc822;{original}\n" if original else ""
    text = f"""\
From: MAILER-DAEMON@mx.there.test (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: whoever@{DOMAIN}
{own}Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

--=_b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--=_b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.there.test

Final-Recipient: rfc822; {address}
{asked}Action: {action}
Status: {status}
Remote-MTA: dns; mx.there.test
Diagnostic-Code: smtp; {code}

--=_b
Content-Type: message/rfc822

{header}From: orders@shop.test
To: {address}
Subject: Your order

Thank you.

--=_b--
"""
    return text.replace("\n", "\r\n").encode()


def arf(reference: str, *, kind: str = "abuse", address: str = "", top: str = "") -> bytes:
    """A complaint (RFC 5965)."""
    header = f"{REFERENCE_HEADER}: {reference}\n" if reference else ""
    own = f"{REFERENCE_HEADER}: {top}\n" if top else ""
    whom = f"Original-Rcpt-To: <{address}>\n" if address else ""
    text = f"""\
From: abuse@there.test
Subject: FW: Your order
To: complaints@{DOMAIN}
{own}MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_b"

--=_b
Content-Type: text/plain

This is an email abuse report.

--=_b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
{whom}Arrival-Date: Thu, 8 Mar 2026 14:00:00 EDT

--=_b
Content-Type: message/rfc822

{header}From: orders@shop.test
Subject: Your order

Thank you.

--=_b--
"""
    return text.replace("\n", "\r\n").encode()


def until(what: Callable[[], Any], seconds: float = 10) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found
