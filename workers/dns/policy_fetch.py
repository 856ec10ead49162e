"""Fetches a domain's MTA-STS policy over HTTPS (RFC 8461 section 3.3): the edge to the network.

The policy host's addresses are looked up and checked here, and the checked address is the one to
connect to (B12); its name goes into SNI, the Host field and the certificate's check. No proxy, no
redirect, no cookie, no cache. Every trouble is a `NoPolicy`.
"""

from __future__ import annotations

import asyncio
import ssl

from workers.dns.addresses import AddressRules
from workers.dns.answers import Found
from workers.dns.http_answer import MOST_HEAD_BYTES, NotUsable, read_answer
from workers.dns.resolver import Resolver
from workers.dns.sts_policy import NoPolicy

PATH = "/.well-known/mta-sts.txt"
HTTPS_PORT = 443
FETCH_SECONDS = 60.0
"""For all of it (RFC 8461 section 3.3)."""
_MOST_ADDRESSES = 3
"""Tried; each has its share of the time."""


def policy_context(ca_file: str = "") -> ssl.SSLContext:
    """TLS as RFC 8461 section 3.3 has it: a certificate by name (DNS-ID), of a known authority."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    return context


class PolicyFetcher:
    """Fetches policies, each when it is asked to."""

    def __init__(
        self,
        resolver: Resolver,
        rules: AddressRules,
        context: ssl.SSLContext,
        port: int = HTTPS_PORT,
        seconds: float = FETCH_SECONDS,
    ) -> None:
        self._resolver = resolver
        self._rules = rules
        self._context = context
        self._port = port
        self._seconds = seconds

    async def fetch(self, domain: str) -> bytes | NoPolicy:
        """The policy's text. `domain` is lower case, as A-labels."""
        host = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(self._seconds):
                addresses = await self._addresses(host)
                if not addresses:
                    return NoPolicy("the policy host has no address on the public internet")
                return await self._from_one_of(addresses, host)
        except TimeoutError:
            return NoPolicy("the policy host has not answered in time")

    async def _addresses(self, host: str) -> list[str]:
        answers = [await self._resolver.look_up(host, kind) for kind in ("A", "AAAA")]
        lists = [each.records for each in answers if isinstance(each, Found)]
        return self._rules.permitted(each for records in lists for each in records)

    async def _from_one_of(self, addresses: list[str], host: str) -> bytes | NoPolicy:
        """Try one address after the other, until one answers anything at all."""
        reason = ""
        tried = addresses[:_MOST_ADDRESSES]
        for address in tried:
            try:
                async with asyncio.timeout(self._seconds / len(tried)):
                    return await self._get(address, host)
            except NotUsable as error:
                return NoPolicy(error.reason)
            except ssl.SSLCertVerificationError:
                reason = "the policy host's certificate is not valid for it"
            except (OSError, TimeoutError):
                reason = "the policy host could not be reached"
        return NoPolicy(reason)

    async def _get(self, address: str, host: str) -> bytes:
        reader, writer = await asyncio.open_connection(
            address, self._port, ssl=self._context, server_hostname=host, limit=MOST_HEAD_BYTES
        )
        try:
            writer.write(
                f"GET {PATH} HTTP/1.1\r\n"
                f"Host: {host}\r\n"
                "User-Agent: posthaste\r\n"
                "Accept: text/plain\r\n"
                "Accept-Encoding: identity\r\n"
                "Connection: close\r\n"
                "\r\n".encode("ascii")
            )
            return await read_answer(reader)
        finally:
            writer.transport.abort()
