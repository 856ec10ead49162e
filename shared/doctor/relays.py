"""Relays: connect, TLS, sign in, QUIT. And whether this machine gets out on port 25.

SMTP is spoken by `workers.check_relays`, a process of its own: nothing here imports that tier.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.doctor.dns import NoAnswer
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.hosts import is_loopback
from shared.outgoing import Outgoing
from shared.outgoing_settings import RelaySettings
from shared.supervisor.plan import module_command

MARGIN_SECONDS = 5.0
"""For the process to start, beyond what each host may take."""
CERTIFICATE_DAYS = 14

_REMEDIES = {
    "connect": "check host and port, and that the network lets this machine out to it",
    "tls": "check relay.tls, relay.tls_name and relay.ca_file with the relay's operator",
    "banner": "ask the relay's operator why it refuses this machine's address",
    "ehlo": "check relay.ehlo_name: some relays want a name that can be looked up",
    "auth": "check relay.user and the password or token, and that this account may sign in",
}


async def ask(
    relays: Sequence[RelaySettings], exchangers: Sequence[str], patient: Patient
) -> list[dict[str, Any]]:
    """The answers of `workers.check_relays`; none when it did not get there in time."""
    options = patient.options
    question = {
        "relays": relays,
        "exchangers": exchangers,
        "port": options.smtp_port,
        "seconds": max(1.0, options.seconds - MARGIN_SECONDS),
    }
    process = await asyncio.create_subprocess_exec(
        *module_command("workers.check_relays"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        told, _ = await process.communicate(msgspec.json.encode(question))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return [] if process.returncode else msgspec.json.decode(told, type=list[dict[str, Any]])


async def answers_of(patient: Patient) -> list[dict[str, Any]]:
    """What the relays answered, each with its `relay`; asked once, whoever wants to know."""
    if patient.asking is None:
        patient.asking = asyncio.ensure_future(_ask_relays(patient))
    return await asyncio.shield(patient.asking)


async def _ask_relays(patient: Patient) -> list[dict[str, Any]]:
    outgoing = patient.outgoing
    if not isinstance(outgoing, Outgoing):
        return []  # Told by the check of the settings.
    pairs = zip(patient.settings.relay, outgoing.relays, strict=True)
    chosen = [
        msgspec.structs.replace(entry, name=relay.name)
        for entry, relay in pairs
        if not patient.options.offline or is_loopback(relay.host)
    ]
    answers = await ask(chosen, (), patient) if chosen else []
    return [{**answer, "relay": entry.name} for entry, answer in zip(chosen, answers, strict=False)]


async def check_relays(patient: Patient) -> list[Finding]:
    """Each relay, as a worker would."""
    answers = await answers_of(patient)
    if not answers and isinstance(patient.outgoing, Outgoing):
        if patient.options.offline:
            return [Finding("relay.offline", "info", "no relay is on this machine: none was tried")]
        return [Finding("relay.check", "error", "the relays could not be tried")]
    return [each for answer in answers for each in _judge(answer["relay"], answer, patient)]


def _judge(name: str, answer: dict[str, Any], patient: Patient) -> list[Finding]:
    place = f"relay {name} ({answer['host']}:{answer['port']})"
    identifier = f"relay.{name}"
    if answer["stage"] != "mail":
        said = f": {answer['reply']}" if answer["reply"] else ""
        found = f"{place}: {answer['trouble']} at {answer['stage']}{said}"
        return [Finding(identifier, "error", found, _REMEDIES[answer["stage"]])]
    found = f"{place} lets us in, with {answer['tls'] or 'no TLS'}"
    findings = [ok(identifier, found)]
    if answer["protection"] and not is_loopback(answer["host"]):
        findings.append(
            Finding(
                f"{identifier}.tls", "warning", f"{place}: {answer['protection']}",
                'use tls = "required" if the relay has a certificate that can be verified',
            )
        )  # fmt: skip
    if answer["expires"]:
        left = ssl.cert_time_to_seconds(answer["expires"]) - patient.clock.now_ms() / 1000
        if left < CERTIFICATE_DAYS * 86_400:
            findings.append(
                Finding(
                    f"{identifier}.certificate", "warning",
                    f"{place}: its certificate ends in {left / 86_400:.0f} days",
                    "tell the relay's operator: after that no mail goes out",
                )
            )  # fmt: skip
    return findings


async def check_egress(patient: Patient) -> list[Finding]:
    """Port 25, to the mail exchangers of our own domains: no stranger is troubled."""
    domains = sorted({entry.domain for entry in patient.settings.dkim if entry.domain})
    hosts: list[str] = []
    try:
        for domain in domains:
            hosts += [each for each in await patient.names.exchangers(domain) if each not in hosts]
    except NoAnswer as error:
        return [Finding("egress.dns", "warning", str(error), "check this machine's resolver")]
    if not hosts:
        found = "port 25 was not tried: none of the domains with a DKIM key has an MX record"
        if _goes_directly(patient):
            found += ", so nobody knows from here whether mail gets out to MX hosts"
        return [Finding("egress.port25", "info", found)]
    answers = await ask((), hosts[:3], patient)
    reached = [each for each in answers if each["stage"] not in ("connect", "banner")]
    if reached:
        return [ok("egress.port25", f"port 25 is open: {reached[0]['host']} greets us")]
    if _goes_directly(patient):
        return [
            Finding(
                "egress.port25", "error",
                f"no mail exchanger answers on port 25 ({', '.join(hosts[:3])}): mail of direct"
                " routes does not get out", "let this machine out to port 25: its firewall, the"
                " network's, and your provider, who often opens it only when asked",
            )
        ]  # fmt: skip
    return [
        Finding(
            "egress.port25", "info",
            f"no mail exchanger answers on port 25 ({', '.join(hosts[:3])})",
            "nothing to do while mail goes through relays on other ports; else ask your provider"
            " to open port 25",
        )
    ]  # fmt: skip


def _goes_directly(patient: Patient) -> bool:
    return isinstance(patient.outgoing, Outgoing) and bool(patient.outgoing.direct)
