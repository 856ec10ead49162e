"""Direct delivery: the DNS servers that workers ask, and the names that MX hosts are greeted with.

Whether port 25 is open, and what the addresses are called that mail leaves from, is told by the
checks `egress` and `names`, for relays and direct routes alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from shared.doctor.dns import Names, NoAnswer
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.doctor.records import greeting
from shared.outgoing import Outgoing

_ROOT = "."
"""Every recursive server can tell its name servers."""


async def check_direct(patient: Patient) -> list[Finding]:
    """What mail straight to MX hosts needs; nothing where no route asks DNS."""
    outgoing = patient.outgoing
    if not isinstance(outgoing, Outgoing):
        return []  # Told by the check of the settings.
    if not outgoing.direct and not outgoing.routes.by_site:
        return []
    findings = list(await asyncio.gather(*(_server(patient, *each) for each in _servers(patient))))
    for name in sorted({relay.ehlo_name for relay in outgoing.direct.values()}):
        findings += await _greeted(patient, name)
    return findings


def _servers(patient: Patient) -> Iterator[tuple[str, Names]]:
    """The name of each server, and who asks it; without any in the settings, the system's."""
    dns, options = patient.settings.dns, patient.options
    for server in dns.servers:
        host = f"[{server}]" if ":" in server else server
        yield server, Names(f"{host}:{dns.port}", options.seconds)
    if not dns.servers:
        yield "system", patient.names


async def _server(patient: Patient, server: str, names: Names) -> Finding:
    """Whether it tells something that exists; of our own domains, if there is one."""
    identifier = f"direct.dns.{server}"
    domains = sorted(entry.domain for entry in patient.settings.dkim if entry.domain)
    question = (domains[0], "MX") if domains else (_ROOT, "NS")
    what = "the system's DNS servers" if server == "system" else f"the DNS server {server}"
    try:
        await names.look_up(*question)
    except NoAnswer as error:
        return Finding(
            identifier, "error", f"{what}: {error}; without DNS no mail goes straight to MX hosts",
            "start it, let workers out to it on port 53 (UDP and TCP) and let it ask the internet"
            " for them, or name others in dns.servers",
        )  # fmt: skip
    return ok(identifier, f"{what}: {question[0]} {question[1]} was answered")


async def _greeted(patient: Patient, name: str) -> list[Finding]:
    if name:
        return await greeting(patient, name, (), f"direct.ehlo.{name}", "direct.ehlo_name")
    return [
        Finding("direct.ehlo", "info",
                "direct.ehlo_name is empty: MX hosts are greeted with this machine's own name, in a"
                " container a random one",
                "set it to the name that the PTR record of the address has that mail leaves from")
    ]  # fmt: skip
