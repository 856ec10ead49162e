"""A small internet on loopback: a DNS server, SMTP servers on 127.0.0.x, and the system beside it.

All mail goes directly; the one relay there is must get nothing, as long as that holds.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tests.support.dns_server import DnsServer
from tests.support.installation import installation
from tests.support.policy_server import PolicyServer, plain
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, poll

ROUTE = """
[[route]]
name = "straight"
direct = true
"""
ALLOWED = ("127.0.0.0/8",)


class World:
    """What there is."""

    def __init__(self, dns: DnsServer, stack: ExitStack) -> None:
        self.dns = dns
        self._stack = stack
        self.port = 0
        self.policy_port = 443
        self.settings = ""
        self.system: System

    def server(self, host: str, **script: object) -> SmtpServer:
        """One on 127.0.0.x; all have the same port."""
        server = SmtpServer(port=self.port, host=host, **script)  # type: ignore[arg-type]
        self._stack.enter_context(server)
        self.port = server.port
        return server

    def policy(self, context: ssl.SSLContext, text: str) -> PolicyServer:
        """The MTA-STS policy of every domain, by HTTPS on 127.0.0.1."""
        server = PolicyServer(context, plain(text.encode()))
        loop = asyncio.new_event_loop()
        loop.run_until_complete(server.__aenter__())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        def end() -> None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.run_until_complete(server.__aexit__())
            loop.close()

        self._stack.callback(end)
        self.policy_port = server.port
        return server

    def counters(self) -> dict[str, int]:
        """Those of the store."""
        spool = self.system.spool()
        try:
            return dict(spool.depth().counters)
        finally:
            spool.close()

    def attempts(self, identifier: str) -> list[dict[str, object]]:
        """Every attempt of a message, as the API shows them."""
        status, body, _ = self.system.ask("GET", f"/v1/messages/{identifier}")
        assert status == 200, body
        return [each for one in body["recipients"] for each in one["attempts"]]

    def hops(self, identifier: str) -> list[str]:
        """Where each recipient's mail is, or has gone."""
        return [each["destination"] for each in self.system.recipients(identifier)]

    def last(self, identifier: str) -> tuple[object, object, object]:
        """Code, enhanced code and text that the first recipient's last attempt came to."""
        last = self.attempts(identifier)[-1]
        return last["code"], last["enhanced_code"], last["reply"]

    def wait(self, identifier: str, *statuses: str) -> None:
        """Wait until the recipients have these statuses, in order."""
        poll(lambda: [e["status"] for e in self.system.recipients(identifier)] == list(statuses))

    def settle_accounts(self, identifier: str) -> list[str]:
        """The ledger of a message; everything that was accepted is accounted for."""
        self.system.reconcile()
        return self.system.ledger(identifier)


@contextmanager
def world(records: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[World]:
    """Servers first, then `start`."""
    with DnsServer(records) as dns, ExitStack() as stack:
        yield World(dns, stack)


@contextmanager
def started(
    here: World,
    *,
    allow: Sequence[str] = ALLOWED,
    direct: str = "",
    route: str = ROUTE,
    quick: str = QUICK,
    workers: int = 1,
    shaping: str = "",
) -> Iterator[World]:
    """The system, asking this DNS."""
    with SmtpServer() as relay:
        here.settings = settings = f"""{quick}
[[relay]]
name = "main"
host = "127.0.0.1"
port = {relay.port}
tls = "none"

[dns]
servers = ["127.0.0.1"]
port = {here.dns.port}
allow_networks = [{", ".join(f'"{each}"' for each in allow)}]

[direct]
port = {here.port or 9}
mta_sts_port = {here.policy_port}
{direct}
{route}"""
        options = ("--web", "1", "--workers", str(workers))
        with installation(*options, settings=settings, shaping=shaping) as facts:
            here.system = System(facts, relay)
            yield here
            assert relay.connections == 0 or ROUTE not in here.settings
