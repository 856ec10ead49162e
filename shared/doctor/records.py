"""What others look up about our mail: EHLO name, PTR and forward match, SPF, DKIM records."""

from __future__ import annotations

import asyncio
import re

from shared.dkim import Key, zone_line
from shared.doctor.dns import NoAnswer
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.doctor.relays import answers_of
from shared.doctor.spf_record import evaluate
from shared.hosts import address, is_loopback
from shared.outgoing import Outgoing

_DNS = "check this machine's resolver, or name another one with --resolver"


async def sources_of(patient: Patient) -> tuple[str, ...]:
    """Addresses that others see our mail come from: as given, else the public ones in use."""
    if patient.options.sources:
        return patient.options.sources
    used = {answer["source"].strip("[]") for answer in await answers_of(patient)}
    used = {each.removeprefix("IPv6:") for each in used}
    used |= {route.source_address for route in patient.settings.route}
    return tuple(sorted(each for each in used if (found := address(each)) and found.is_global))


async def check_names(patient: Patient) -> list[Finding]:
    """The name we greet with, and the names of the addresses that mail leaves from."""
    sources = await sources_of(patient)
    greeted = sorted(
        {
            answer["name"]
            for answer in await answers_of(patient)
            if patient.options.sources or not is_loopback(answer["host"])
        }
    )
    findings: list[Finding] = []
    for name in greeted:
        findings += await greeting(patient, name, sources, "names.ehlo", "relay.ehlo_name")
    if not sources:
        findings.append(
            Finding("names.source", "info",
                    "mail leaves from no public address of this machine, so nobody knows from here"
                    " which one others see",
                    "give it: posthaste doctor --source ADDRESS")
        )  # fmt: skip
    for source in sources:
        findings.append(await _reverse(patient, source))
    return findings


async def greeting(
    patient: Patient, name: str, sources: tuple[str, ...], identifier: str, setting: str
) -> list[Finding]:
    """Whether the name that `setting` gives in EHLO can be looked up, and is that of `sources`."""
    if not name:
        return [
            Finding(identifier, "warning",
                    "this host has no full name, so its address is given in EHLO",
                    f"set {setting} to a name that points to this machine")
        ]  # fmt: skip
    try:
        found = await patient.names.addresses(name)
    except NoAnswer as error:
        return [Finding(identifier, "warning", str(error), _DNS)]
    if not found:
        return [
            Finding(identifier, "warning", f"{name}, our name in EHLO, has no address in DNS",
                    f"add an A record for it, or set {setting} to a name that has one")
        ]  # fmt: skip
    strange = [each for each in sources if each not in found]
    if strange:
        return [
            Finding(identifier, "info", f"{name}, our name in EHLO, is not {', '.join(strange)}",
                    "best is a name that points to the address that mail leaves from")
        ]  # fmt: skip
    return [ok(identifier, f"{name}, our name in EHLO, can be looked up")]


async def _reverse(patient: Patient, source: str) -> Finding:
    identifier = f"names.ptr.{source}"
    try:
        found = await patient.names.reverse(source)
        if not found:
            return Finding(
                identifier, "warning", f"{source} has no PTR record: many refuse mail from it",
                "ask who owns the address (your provider) to set one, to a name that points back",
            )  # fmt: skip
        for name in found:
            if source in await patient.names.addresses(name):
                return ok(identifier, f"{source} is {name}, and {name} is {source}")
    except NoAnswer as error:
        return Finding(identifier, "warning", str(error), _DNS)
    return Finding(
        identifier, "warning", f"{source} is {found[0]}, but {found[0]} is not {source}",
        f"let an A or AAAA record of {found[0]} point to {source}",
    )  # fmt: skip


async def check_spf(patient: Patient) -> list[Finding]:
    """The record of each domain that MAIL FROM may have, for each source."""
    settings = patient.settings
    domains = {entry.domain for entry in settings.dkim if entry.domain}
    domains |= {
        entry.return_path.rpartition("@")[2]
        for entry in settings.application.values() if entry.return_path
    }  # fmt: skip
    domains |= {*settings.bounces.domains}
    if not domains:
        found = "no domain is known: neither a DKIM key nor a return path"
        return [Finding("spf.domains", "info", found)]
    sources = await sources_of(patient) or ("",)
    pairs = [(domain, source) for domain in sorted(domains) for source in sources]
    return list(await asyncio.gather(*(_spf(patient, *pair) for pair in pairs)))


async def _spf(patient: Patient, domain: str, source: str) -> Finding:
    identifier = f"spf.{domain}" + (f".{source}" if source else "")
    try:
        verdict = await evaluate(patient.names, domain, address(source) if source else None)
    except NoAnswer as error:
        return Finding(identifier, "warning", str(error), _DNS)
    allow = f"ip{6 if ':' in source else 4}:{source}" if source else "include:RELAY"
    if verdict.result == "none":
        return Finding(
            identifier, "warning", f"{domain} has no SPF record",
            f'add one: {domain}. TXT "v=spf1 {allow} -all", with what your relay asks for',
        )  # fmt: skip
    if verdict.result == "permerror":
        return Finding(
            identifier, "error", f"the SPF record of {domain} is broken: {verdict.why}",
            "correct it: receivers treat it as none, or refuse the mail",
        )  # fmt: skip
    if not source:
        return ok(identifier, f"{domain} has an SPF record")
    if verdict.result != "pass":
        return Finding(
            identifier, "warning", f"SPF of {domain} says {verdict.result} for {source}",
            f"add {allow} before its `all`; not needed if a relay sends on from its own addresses",
        )  # fmt: skip
    return ok(identifier, f"SPF of {domain} lets {source} send")


async def check_dkim(patient: Patient) -> list[Finding]:
    """The published record of every key that signs."""
    outgoing = patient.outgoing
    if not isinstance(outgoing, Outgoing):
        return []
    keys = [key for each in outgoing.keys.values() for key in each]
    return list(await asyncio.gather(*(_record(patient, key) for key in keys)))


async def _record(patient: Patient, key: Key) -> Finding:
    identifier = f"dkim.{key.record_name}"
    publish = f"publish it: {zone_line(key)}"
    try:
        records = await patient.names.look_up(key.record_name, "TXT")
    except NoAnswer as error:
        return Finding(identifier, "warning", str(error), _DNS)
    if not records:
        return Finding(
            identifier, "error", f"{key.record_name} is not in DNS: its signatures fail",
            publish,
        )  # fmt: skip
    if len(records) > 1:
        return Finding(
            identifier, "error", f"{key.record_name} has {len(records)} TXT records",
            "keep the one of the key in use",
        )  # fmt: skip
    tags, wanted = _tags(records[0]), _tags(key.record)
    if tags.get("p") == "":
        return Finding(
            identifier, "error", f"{key.record_name} says that the key is revoked (p= is empty)",
            "make another key under another selector: posthaste dkim generate",
        )  # fmt: skip
    if tags.get("p") != wanted["p"] or tags.get("k", "rsa") != wanted["k"]:
        return Finding(
            identifier, "error", f"{key.record_name} publishes another key than the one that signs",
            publish,
        )  # fmt: skip
    if tags.get("v", "DKIM1") != "DKIM1" or "sha256" not in tags.get("h", "sha256").split(":"):
        return Finding(
            identifier, "error", f"{key.record_name} does not let rsa-sha256 or Ed25519 be used",
            publish,
        )  # fmt: skip
    if "y" in tags.get("t", "").split(":"):
        return Finding(
            identifier, "warning", f"{key.record_name} says t=y: receivers ignore the signature",
            "take t=y out once the tests are done",
        )  # fmt: skip
    return ok(identifier, f"{key.record_name} publishes the key that signs")


def _tags(record: str) -> dict[str, str]:
    """Tags of a record (RFC 6376 section 3.2), white space in values removed."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip(): re.sub(r"\s", "", value) for name, equals, value in pairs if equals}
