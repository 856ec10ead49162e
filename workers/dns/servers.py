"""The edge to DNS: one question to the configured servers, or to the system's.

The first server is asked by one datagram, and whatever is not the plain case is left to dnspython,
which asks them all, and by TCP for what was truncated. They must be recursive: an alias is followed
by them, not here. Every trouble is an answer (`Temporary`); no exception of dnspython leaves this
file.
"""

from __future__ import annotations

import asyncio

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

from shared.outgoing_settings import DnsSettings
from workers.dns.answers import Found, Kind, NoData, NoSuchName, Temporary, Told
from workers.dns.datagram import PAYLOAD_BYTES, ask

_TRIES = 3
"""How often one server may be silent within the time of a question."""
_SILENT_SECONDS = 30.0
"""A first server that did not answer in time is left to dnspython for so long."""


class Servers:
    """The recursive servers to ask."""

    def __init__(self, settings: DnsSettings, system_file: str = "/etc/resolv.conf") -> None:
        """`system_file` names the system's servers, where the settings name none."""
        self._settings = settings
        self._system_file = system_file
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._silent_until = 0.0

    async def ask(self, name: str, kind: Kind) -> Told:
        """Ask once; takes `timeout_seconds` at most. `name` is ASCII."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        told = await self._plain(name, kind) if began >= self._silent_until else None
        if told is not None:
            return told
        return await self._thorough(name, kind, loop.time() - began)

    async def _plain(self, name: str, kind: Kind) -> Told | None:
        """The plain case; None: it is another one."""
        try:
            resolver = self._made()
        except dns.resolver.NoResolverConfiguration:
            return None
        loop = asyncio.get_running_loop()
        began = loop.time()
        server = str(resolver.nameservers[0])
        told = await ask(server, resolver.port, name, kind, resolver.timeout)
        if loop.time() - began >= resolver.timeout:
            self._silent_until = loop.time() + _SILENT_SECONDS
        return told

    async def _thorough(self, name: str, kind: Kind, spent_seconds: float) -> Told:
        """By the library, in what is left of the time."""
        try:
            question = dns.name.from_text(name)
        except dns.exception.DNSException:
            return Told(NoSuchName())  # Over 63 octets a label or 255 in all: no zone can have it.
        try:
            answer = await self._made().resolve(
                question, kind, search=False, raise_on_no_answer=False,
                lifetime=max(0.01, self._settings.timeout_seconds - spent_seconds),
            )  # fmt: skip
        except dns.resolver.NXDOMAIN as error:
            return Told(NoSuchName(), _seconds(error.kwargs["responses"][question]))
        except dns.resolver.NoResolverConfiguration:
            return Told(Temporary("this machine has no resolver configured"))
        except dns.exception.Timeout:
            self._resolver = None  # The system's servers may be others by now.
            return Told(Temporary("no DNS server has answered in time"))
        except dns.resolver.NoNameservers:
            self._resolver = None
            return Told(Temporary("the DNS servers could not answer", answered=True))
        except (dns.exception.DNSException, OSError, ValueError):
            return Told(Temporary("DNS could not be asked"))
        canonical = _text(answer.canonical_name)
        if answer.rrset is None:
            return Told(NoData(canonical), answer.chaining_result.minimum_ttl)
        if kind == "TXT":
            records = (b"".join(each.strings).decode("utf-8", "replace") for each in answer.rrset)
        else:
            records = (each.to_text() for each in answer.rrset)
        return Told(Found(tuple(records), canonical), answer.chaining_result.minimum_ttl)

    def _made(self) -> dns.asyncresolver.Resolver:
        """The resolver, made at the first question. Raises `NoResolverConfiguration`."""
        if self._resolver is None:
            settings = self._settings
            resolver = dns.asyncresolver.Resolver(self._system_file, configure=not settings.servers)
            if settings.servers:
                resolver.nameservers = list(settings.servers)
                resolver.port = settings.port
            resolver.use_edns(0, 0, PAYLOAD_BYTES)
            resolver.lifetime = settings.timeout_seconds
            resolver.timeout = settings.timeout_seconds / _TRIES
            self._resolver = resolver
        return self._resolver


def _seconds(response: dns.message.Message) -> float:
    """How long a denial may be kept (RFC 2308 section 5)."""
    if not isinstance(response, dns.message.QueryMessage):
        return 0.0
    return response.resolve_chaining().minimum_ttl


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
