"""One SMTP session: set up once, then one transaction after another (RFC 5321, RFC 2920).

`transact` never raises but for cancellation: whatever breaks is told by the `Transaction`. A
session that has broken says so with `usable` and must be closed.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ssl
from collections.abc import Callable

from workers.smtp import tls
from workers.smtp.relay import Relay
from workers.smtp.transaction import Steps
from workers.smtp.types import Broken, Envelope, Lease, Reply, Stage, Transaction
from workers.smtp.wire import Wire, command

ContextFactory = Callable[[], ssl.SSLContext]


class Session:
    """A connection to a relay."""

    def __init__(self, relay: Relay, context: ContextFactory = tls.verified) -> None:
        self._relay = relay
        self._context = context
        self._wire = Wire()
        self._offered: dict[str, str] = {}
        self._stage = Stage.CONNECT
        self.messages = 0

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin."""
        return self._stage is Stage.MAIL and self._wire.is_quiet()

    # -- set-up -----------------------------------------------------------------------------

    async def open(self) -> Transaction | None:
        """Connect, greet, secure, sign in. None when ready, else what the trouble was."""
        try:
            await self._open()
        except Broken as broken:
            return self._broken(broken)
        except (OSError, ssl.SSLError) as error:
            return self._broken(Broken(_why(error)))
        return None

    async def _open(self) -> None:
        relay, wait = self._relay, self._relay.timeouts
        loop = asyncio.get_running_loop()
        implicit = relay.tls == "implicit"
        await asyncio.wait_for(
            loop.create_connection(
                lambda: self._wire,
                relay.host,
                relay.port,
                ssl=self._context() if implicit else None,
                server_hostname=relay.host if implicit else None,
            ),
            wait.connect,
        )
        self._stage = Stage.BANNER
        await self._expect(2, wait.banner)
        self._stage = Stage.EHLO
        await self._greet()
        if relay.tls == "required":
            await self._secure()
        self._stage = Stage.AUTH
        if relay.user:
            await self._authenticate()
        self._stage = Stage.MAIL

    async def _expect(self, digit: int, seconds: float) -> Reply:
        reply = await self._wire.reply(seconds)
        if reply.code // 100 != digit:
            raise Broken("refused", reply)
        return reply

    async def _ask(self, text: str, seconds: float | None = None) -> Reply:
        self._wire.write(command(text))
        return await self._wire.reply(seconds or self._relay.timeouts.command)

    async def _greet(self) -> None:
        """EHLO, or HELO where that is not known (RFC 5321 section 4.1.1.1)."""
        self._wire.write(command(f"EHLO {self._relay.ehlo_name}"))
        reply, lines = await self._wire.reply_with_lines(self._relay.timeouts.command)
        if reply.code // 100 == 2:
            self._offered = {
                word.upper(): rest.strip()
                for word, _, rest in (line.partition(" ") for line in lines[1:])
            }
            return
        if reply.code not in (500, 501, 502, 504, 550):
            raise Broken("refused", reply)
        self._offered = {}
        answer = await self._ask(f"HELO {self._relay.ehlo_name}")
        if answer.code // 100 != 2:
            raise Broken("refused", answer)

    async def _secure(self) -> None:
        """STARTTLS, verified; everything learnt before is forgotten (RFC 3207 section 4.2)."""
        self._stage = Stage.TLS
        if "STARTTLS" not in self._offered:
            raise Broken("the server offers no TLS")
        reply = await self._ask("STARTTLS")
        if reply.code != 220:
            raise Broken("refused", reply)
        self._wire.discard_nothing()
        await self._wire.start_tls(self._context(), self._relay.host, self._relay.timeouts.connect)
        self._stage = Stage.EHLO
        await self._greet()

    async def _authenticate(self) -> None:
        """AUTH PLAIN or LOGIN (RFC 4954); `relay_from` allows it only where TLS protects it."""
        user, password = self._relay.user, self._relay.password
        mechanisms = self._offered.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            reply = await self._ask(f"AUTH PLAIN {token}")
        elif "LOGIN" in mechanisms:
            reply = await self._ask("AUTH LOGIN")
            for secret in (user, password):
                if reply.code != 334:
                    break
                reply = await self._ask(base64.b64encode(secret.encode()).decode())
        else:
            raise Broken("the server offers no way to sign in")
        if reply.code != 235:
            raise Broken("refused", reply)

    # -- transactions -----------------------------------------------------------------------

    async def transact(self, envelope: Envelope, message: bytes, lease: Lease) -> Transaction:
        """Send one message; `message` has CRLF line ends and ends in CRLF."""
        steps = Steps(self._wire, self._relay, self._offered, envelope)
        self.messages += 1
        self._stage = Stage.RCPT  # Not usable until this has ended well.
        try:
            if not lease.holds():
                raise Broken("lease lost")
            clean = await steps.run(message, lease)
            if clean:
                self._stage = Stage.MAIL
        except Broken as broken:
            return steps.result(broken)
        except OSError as error:
            return steps.result(Broken(_why(error)))
        finally:
            if self._stage is not Stage.MAIL:
                self.abort()
        return steps.result(None)

    def _broken(self, broken: Broken) -> Transaction:
        self.abort()
        return Transaction(self._stage, trouble=broken.why, trouble_reply=broken.reply)

    async def quit(self) -> None:
        """End politely, without waiting long for the answer."""
        try:
            if self.usable:
                await self._ask("QUIT", self._relay.timeouts.quit)
        except (Broken, OSError):
            pass  # It is being closed anyway.
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._wire.abort()


def _why(error: Exception) -> str:
    """A few words for an operator, never the library's own text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate not valid for this relay"
    if isinstance(error, ssl.SSLError):
        return "TLS handshake broke"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "host unreachable"
    if isinstance(error, OSError) and error.errno is not None and error.errno < 0:
        return "host name not found"
    return "connection lost"
