"""What comes back: the key that signs return paths and links, and the domains that bounces come to.

Whether the key is the same everywhere cannot be seen from one machine, so its fingerprint is told.
SPF of these domains is a matter of the check `spf`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

from shared.doctor.dns import NoAnswer
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.doctor.relays import ask
from shared.errors import ConfigError
from shared.secret_files import feedback_keys_of

MOST_HOSTS = 3
_RESOLVER = "check this machine's resolver, or name another one with --resolver"


async def check_feedback(patient: Patient) -> list[Finding]:
    """The key; then, unless offline, MX, its hosts, and what DMARC makes of these domains."""
    findings = list(_keys(patient))
    domains = patient.settings.bounces.domains
    if not domains or patient.options.offline:
        return findings
    for found in await asyncio.gather(*(_exchangers(patient, each) for each in domains)):
        findings += found
    senders = sorted({entry.domain for entry in patient.settings.dkim if entry.domain})
    findings += await asyncio.gather(*(_dmarc(patient, each) for each in senders))
    return findings


def _keys(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    try:
        keys = feedback_keys_of(settings.feedback)
    except ConfigError as error:
        yield Finding(
            "feedback.key", "error", str(error),
            "correct it here: without it this process neither signs nor knows what was signed",
        )  # fmt: skip
        return
    if not keys:
        yield Finding(
            "feedback.key", "info",
            "there is no key: bounces that come later, complaints and unsubscribing are not seen",
            "`openssl rand -hex 32` into a file, named in feedback.key_file, then bounces.domains",
        )  # fmt: skip
        return
    told = " and before it ".join(fingerprint(key) for key in keys)
    yield ok("feedback.key", f"the key's fingerprint is {told}: it must be so on every machine")
    if not settings.bounces.domains:
        yield Finding(
            "feedback.domains", "info",
            "bounces.domains is empty: bounces go to whoever is in From, and nobody counts them",
            "name a domain whose MX leads to `posthaste bounces`",
        )  # fmt: skip


def fingerprint(key: bytes) -> str:
    """What two machines can compare without showing the key."""
    return hashlib.blake2b(key, digest_size=6, person=b"ph-doctor").hexdigest()


async def _exchangers(patient: Patient, domain: str) -> list[Finding]:
    identifier = f"feedback.mx.{domain}"
    publish = f"publish it: {domain}. 3600 IN MX 10 HOST., where HOST is where bounces.listen is"
    try:
        hosts = await patient.names.exchangers(domain)
        homeless = [each for each in hosts if not await patient.names.addresses(each)]
    except NoAnswer as error:
        return [Finding(identifier, "warning", str(error), _RESOLVER)]
    if not hosts:
        found = f"{domain} has no MX record: bounces and complaints do not come back"
        return [Finding(identifier, "error", found, publish)]
    if homeless:
        found = f"the MX of {domain} is {', '.join(homeless)}, which has no address"
        return [Finding(identifier, "error", found, "give that host an A or AAAA record")]
    named = ok(identifier, f"the MX of {domain}: {', '.join(hosts)}")
    return [named, await _greeted(patient, domain, hosts[:MOST_HOSTS])]


async def _greeted(patient: Patient, domain: str, hosts: list[str]) -> Finding:
    """Whether somebody answers there on port 25, as far as it can be tried from here."""
    identifier = f"feedback.smtp.{domain}"
    answers = await ask((), hosts, patient)
    silent = [each["host"] for each in answers if each["stage"] in ("connect", "banner")]
    if answers and not silent:
        return ok(identifier, f"{', '.join(hosts)}: greets on port 25")
    return Finding(
        identifier, "warning",
        f"no answer on port 25 of {', '.join(silent or hosts)}, as seen from here",
        "try it from another network: many let nobody out to port 25; else lead that port to"
        " bounces.listen, and start `posthaste bounces`",
    )  # fmt: skip


async def _dmarc(patient: Patient, sender: str) -> Finding:
    """Whether SPF of a return path can speak for mail from `sender` (RFC 7489 section 3.1.2)."""
    identifier = f"feedback.dmarc.{sender}"
    try:
        record = await _dmarc_record(patient, sender)
    except NoAnswer as error:
        return Finding(identifier, "warning", str(error), _RESOLVER)
    if not record:
        return Finding(
            identifier, "warning",
            f"{sender} has no DMARC record; Gmail and Yahoo ask one of who sends much",
            f'add one: _dmarc.{sender}. TXT "v=DMARC1; p=none; rua=mailto:ADDRESS"',
        )  # fmt: skip
    domains = patient.settings.bounces.domains
    strict = "aspf=s" in record.replace(" ", "").lower().split(";")
    aligned = [each for each in domains if each == sender or (not strict and _kin(each, sender))]
    if not aligned:
        why = "aspf=s in its DMARC record" if strict else "none of bounces.domains is below it"
        return Finding(
            identifier, "info",
            f"DMARC of {sender} rests on DKIM alone: {why}, so SPF does not count",
            f"name a domain such as bounces.{sender} in bounces.domains, too",
        )  # fmt: skip
    return ok(identifier, f"DMARC of {sender} has SPF of {aligned[0]} beside DKIM")


async def _dmarc_record(patient: Patient, domain: str) -> str:
    """That of the domain, else of the one above it; empty: neither has one."""
    for name in dict.fromkeys((domain, _above(domain))):
        records = await patient.names.look_up(f"_dmarc.{name}", "TXT")
        found = [each for each in records if each.lower().replace(" ", "").startswith("v=dmarc1")]
        if found:
            return found[0]
    return ""


def _kin(one: str, other: str) -> bool:
    """Whether both are below one registered domain, as far as two labels can tell."""
    return _above(one) == _above(other)


def _above(domain: str) -> str:
    return ".".join(domain.split(".")[-2:])
