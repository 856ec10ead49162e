"""One SMTP session: connected, greeted, secured and signed in, then used and ended.

`open` gives None, or a `Transaction` that tells the trouble; it raises only when cancelled. Where
there are several places it tries one after the other (RFC 5321 section 5.1). With opportunistic TLS
a failed handshake is followed by one connection in plain text, and `protection` says so (RFC 7435);
in every other mode the trouble stands (RFC 3207 section 6).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time

from shared.errors import ConfigError
from shared.relays import Relay
from shared.tls import client_context
from workers.smtp.auth import Tokens, sign_in
from workers.smtp.own_name import OwnName
from workers.smtp.places import OnePlace, Place, Places
from workers.smtp.replies import command
from workers.smtp.types import CLOSING, Broken, Reply, Stage, Transaction
from workers.smtp.wire import Wire

SLOW_SECONDS = 0.02
SLOW_TIMES = 4
LEAST_TRIED = 2
"""Places (RFC 5321 section 5.1), however long that takes; further ones only as long as it takes no
longer than one connection may: whoever waits for the session waits for all of it."""
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_UNKNOWN_COMMAND = frozenset({500, 501, 502, 504, 550})


class Session:
    """A connection to a relay, or to a host of a site."""

    def __init__(
        self, relay: Relay, tokens: Tokens, own_name: OwnName, places: Places | None = None
    ) -> None:
        self.relay = relay
        self._places = places or OnePlace(relay)
        self.place = Place("", "")
        """Where it is, or was last tried."""
        self._tokens = tokens
        self._own_name = own_name
        self.wire = Wire()
        self.offered: dict[str, str] = {}
        """Keyword -> parameters, as EHLO gave them last."""
        self.stage = Stage.CONNECT
        self.protection = ""
        self.messages = 0
        self.opened_at = 0.0
        self.handshake_seconds: float | None = None
        """What TLS took, the connection too where it is implicit; None without TLS."""
        self.envelope_seconds = 0.0
        """What the server last took for commands: EHLO, or an envelope."""
        self.message_seconds = 0.0
        """What it last took to answer a message."""

    @property
    def takes_its_time(self) -> bool:
        """Whether a message takes the server far longer than a round trip. The next envelope sent
        along then saves next to nothing, and binds its mail to this session for all that time."""
        least = max(SLOW_SECONDS, SLOW_TIMES * self.envelope_seconds)
        return self.message_seconds > least

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin."""
        return self.stage is Stage.MAIL and self.wire.is_quiet()

    async def open(self) -> Transaction | None:
        """Connect, greet, secure, sign in, at the first place where that succeeds.

        Where it does nowhere, what got furthest is told.
        """
        furthest: Transaction | None = None
        loop = asyncio.get_running_loop()
        began = loop.time()
        for tried, place in enumerate(self._places.choose()):
            if tried >= LEAST_TRIED and loop.time() - began > self.relay.timeouts.connect:
                break
            self.place = place
            if furthest is not None:
                self._begin_again()
            trouble = await self._open_there()
            if trouble is None:
                return None
            if furthest is None or trouble.stage > furthest.stage:
                furthest = trouble
        return furthest or Transaction(Stage.CONNECT, trouble="there is nowhere to connect to")

    def _begin_again(self) -> None:
        self.wire.abort()
        self.wire = Wire()
        self.stage = Stage.CONNECT

    async def _open_there(self) -> Transaction | None:
        self.protection = ""
        try:
            await self._open(self.relay.tls)
        except (Broken, OSError) as error:
            if not self._may_fall_back(error):
                return self._trouble(error)
            self.protection = "TLS handshake broke, sent in plain text"
        else:
            return None
        self._begin_again()
        try:
            await self._open("none")
        except (Broken, OSError) as error:
            return self._trouble(error)
        return None

    def _may_fall_back(self, error: Exception) -> bool:
        """Whether it is TLS alone that went wrong; a server that refuses us altogether is heard."""
        refused = isinstance(error, Broken) and error.reply is not None
        return self.relay.tls == "opportunistic" and self.stage is Stage.TLS and not refused

    async def _open(self, tls: str) -> None:
        name = self.relay.ehlo_name or await self._own_name.get()
        try:
            await self._connect(tls == "implicit")
        except OSError as error:
            if _nobody_there(error):
                self._places.not_connected(self.place)
            raise
        self._places.connected(self.place)
        self.stage = Stage.BANNER
        banner = await self.wire.reply(self.relay.timeouts.banner)
        if banner.code // 100 != 2:
            raise Broken("refused", banner)
        self.stage = Stage.EHLO
        name = name or self.wire.address()  # RFC 5321 section 4.1.4.
        await self._greet(name)
        if tls in ("required", "opportunistic"):
            await self._start_tls(name, tls == "required")
        self.stage = Stage.AUTH
        if self.relay.user:
            await sign_in(self.relay, self.offered.get("AUTH", ""), self._ask, self._tokens)
        self.stage = Stage.MAIL
        self.opened_at = asyncio.get_running_loop().time()

    async def _connect(self, implicit: bool) -> None:
        relay = self.relay
        seconds = relay.timeouts.connect
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        async with asyncio.timeout(seconds):
            await loop.create_connection(
                lambda: self.wire,
                self.place.address,
                relay.port,
                local_addr=(relay.source_address, 0) if relay.source_address else None,
                ssl=self._context(True) if implicit else None,
                server_hostname=self.place.name if implicit else None,
                ssl_handshake_timeout=seconds if implicit else None,
                happy_eyeballs_delay=0.25,
            )
        if implicit:
            self.handshake_seconds = time.perf_counter() - began

    def _context(self, verify: bool) -> ssl.SSLContext:
        relay = self.relay
        try:
            return client_context(verify, relay.ca_file, relay.client_certificate, relay.client_key)
        except ConfigError as error:  # A file that was there at the start has gone.
            raise Broken("the TLS files cannot be read") from error

    async def _ask(self, text: str) -> tuple[Reply, list[str]]:
        self.wire.expect_quiet()
        self.wire.write(command(text))
        return await self.wire.reply_with_lines(self.relay.timeouts.command)

    async def _greet(self, name: str) -> None:
        """EHLO, or HELO where that is not known (RFC 5321 section 4.1.1.1)."""
        began = self.wire.now()
        reply, lines = await self._ask(f"EHLO {name}")
        self.envelope_seconds = self.wire.now() - began
        if reply.code // 100 == 2:
            self.offered = _keywords(lines[1:])
            return
        if reply.code not in _UNKNOWN_COMMAND:
            raise Broken("refused", reply)
        self.offered = {}
        reply, _ = await self._ask(f"HELO {name}")
        if reply.code // 100 != 2:
            raise Broken("refused", reply)

    async def _start_tls(self, name: str, required: bool) -> None:
        """STARTTLS; everything learnt before it is forgotten (RFC 3207 section 4.2)."""
        self.stage = Stage.TLS
        if "STARTTLS" not in self.offered:
            if required:
                raise Broken("the server offers no TLS")
            self.protection = "no TLS offered, sent in plain text"
            return
        reply, _ = await self._ask("STARTTLS")
        if reply.code != 220:
            if required or reply.code == CLOSING:
                raise Broken("refused", reply)
            self.protection = "TLS refused, sent in plain text"
            return
        self.wire.expect_quiet()
        began = time.perf_counter()
        await self.wire.start_tls(
            self._context(required),
            self.place.name,
            self.relay.timeouts.connect,
        )
        self.handshake_seconds = time.perf_counter() - began
        if not required:
            self.protection = "TLS unverified"
        self.offered = {}
        self.stage = Stage.EHLO
        await self._greet(name)

    def _trouble(self, error: Exception) -> Transaction:
        self.abort()
        broken = error if isinstance(error, Broken) else Broken(why(error, self.place.shown))
        return Transaction(
            self.stage,
            trouble=broken.why,
            trouble_reply=broken.reply,
            protection=self.protection,
            place=self.place.shown,
        )

    async def quit(self) -> None:
        """End politely, without waiting long for the answer."""
        try:
            if self.usable:
                self.wire.write(command("QUIT"))
                await self.wire.reply(self.relay.timeouts.quit)
        except (Broken, OSError):
            pass  # It is being closed anyway.
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.wire.abort()


def _keywords(lines: list[str]) -> dict[str, str]:
    """EHLO's keywords (RFC 5321 section 4.1.1.1); the old `AUTH=LOGIN` form counts as AUTH."""
    offered: dict[str, str] = {}
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        name, equals, value = word.upper().partition("=")
        if equals:
            rest = f"{value} {rest}"
        offered[name] = f"{offered[name]} {rest}" if name in offered else rest
    return offered


def _nobody_there(error: OSError) -> bool:
    """Whether it is the other end that could not be connected to, and not this host's fault."""
    return isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE


def why(error: BaseException, host: str = "") -> str:
    """A few words for an operator, never the library's own text. `host`: it is one of a site's."""
    if isinstance(error, ssl.SSLCertVerificationError) and host:
        return "certificate not valid for this host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate not valid for this relay"
    if isinstance(error, ssl.SSLError):
        return "TLS handshake broke"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, socket.gaierror):
        return "host name not found"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "host unreachable"
    if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
        return "source address not on this machine"
    if isinstance(error, OSError) and error.errno is None and "Multiple" in str(error):
        return "no address of the host can be reached"
    return "connection lost"
