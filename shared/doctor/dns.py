"""Look-ups in DNS, for the checks only: the system's resolver, or one that the command names.

A name without records is an empty answer; a server that does not answer is `NoAnswer`.
"""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename

from shared.config import host_and_port
from shared.errors import PosthasteError


class NoAnswer(PosthasteError):
    """DNS could not be asked."""


class Names:
    """A resolver."""

    def __init__(self, server: str, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._resolver: dns.asyncresolver.Resolver | None = None

    def _made(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            try:
                self._resolver = dns.asyncresolver.Resolver(configure=not self._server)
            except dns.resolver.NoResolverConfiguration as error:
                raise NoAnswer("this machine has no resolver configured") from error
            if self._server:
                host, port = host_and_port(self._server, "--resolver")
                self._resolver.nameservers, self._resolver.port = [host], port
            self._resolver.lifetime = self._seconds / 3
            self._resolver.timeout = self._seconds / 6
        return self._resolver

    async def look_up(self, name: str, kind: str) -> list[str]:
        """The records' text, sorted; TXT records with their strings joined. Raises `NoAnswer`."""
        try:
            answer = await self._made().resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise NoAnswer(f"no answer for {name} {kind}") from error
        if kind == "TXT":
            return sorted(b"".join(each.strings).decode("utf-8", "replace") for each in answer)
        return sorted(each.to_text() for each in answer)

    async def addresses(self, name: str) -> list[str]:
        """A name's addresses, of both kinds. Raises `NoAnswer`."""
        return [*await self.look_up(name, "A"), *await self.look_up(name, "AAAA")]

    async def reverse(self, address: str) -> list[str]:
        """The names an address has (PTR), lower case, without the final dot. Raises `NoAnswer`."""
        name = dns.reversename.from_address(address).to_text()
        return [each.rstrip(".").lower() for each in await self.look_up(name, "PTR")]

    async def exchangers(self, domain: str) -> list[str]:
        """The hosts that take a domain's mail, the preferred one first. Raises `NoAnswer`."""
        pairs = [each.split(" ", 1) for each in await self.look_up(domain, "MX")]
        ranked = sorted((int(rank), host.rstrip(".").lower()) for rank, host in pairs)
        return [host for _, host in ranked if host]
