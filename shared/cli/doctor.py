"""`posthaste doctor`: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from shared.cli.operate import home_option, json_option, print_json, printable
from shared.cli.store import DEFAULT_HOME, console_of
from shared.clock import SystemClock
from shared.config import host_and_port, load, settings_file
from shared.doctor.finding import EXIT_CODES, WORST, Finding, worst
from shared.doctor.patient import Options, Patient
from shared.doctor.run import CHECKS, examine
from shared.errors import ConfigError
from shared.hosts import address
from shared.settings import Settings
from shared.supervisor.home import Home

_NAMES = [check.name for check in CHECKS]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="Only this; repeatable.")
@click.option("--offline", is_flag=True, help="Ask the store and this machine, nobody else.")
@click.option("--resolver", default="", help="A DNS server, as host:port, instead of the system's.")
@click.option(
    "--source", "sources", multiple=True, help="An address that mail leaves from; repeatable."
)
@click.option(
    "--timeout", "seconds", type=click.FloatRange(1, 300), default=15.0, show_default=True,
    help="Seconds for each check.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Leave out what is as it should be.")
@json_option
@home_option
def doctor(
    only: Sequence[str],
    offline: bool,
    resolver: str,
    sources: Sequence[str],
    seconds: float,
    quiet: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Examine the installation: nothing is changed, no mail is sent.

    Exit code: 0 all well, 1 warnings, 3 errors, 2 a wrong call or unreadable settings.

    Example: posthaste doctor --only relay --only dkim --source 203.0.113.7
    """
    if resolver:
        host_and_port(resolver, "--resolver")
    for source in sources:
        if address(source) is None:
            raise ConfigError(f"--source takes an IP address, not {printable(source)}")
    options = Options(offline, resolver, tuple(sources), seconds)
    settings, config = _settings(home)
    patient = Patient(settings, SystemClock(), options, config)
    findings = asyncio.run(examine(patient, only))
    severity = worst(findings)
    if as_json:
        print_json(
            {"severity": severity, "findings": [msgspec.structs.asdict(f) for f in findings]}
        )
    else:
        _print(findings, quiet)
    raise SystemExit(EXIT_CODES[severity])


def _settings(home: Path | None) -> tuple[Settings, Path | None]:
    """The settings, and their file; a running `up` says where its store and relay are."""
    place = Home(home or DEFAULT_HOME)
    file = settings_file()
    if home is None and (file is not None or not place.settings.is_file()):
        return load(), file
    facts = place.read_up()
    overrides = {
        "POSTHASTE_STORE_REDIS_URL": facts.get("redis") or f"unix://{place.redis / 'redis.sock'}",
        "POSTHASTE_STORE_REDIS_PASSWORD_FILE": "",
        "POSTHASTE_STORE_DATA_DIR": str(place.redis),
        **console_of(facts),
    }
    if facts.get("relay"):
        overrides["POSTHASTE_RELAY_URL"] = facts["relay"]
    return place.load(overrides), place.settings


def _print(findings: Sequence[Finding], quiet: bool) -> None:
    for each in findings:
        if quiet and each.severity == "ok":
            continue
        click.echo(f"{each.severity:<8} {each.id:<24} {printable(each.found)}")
        if each.remedy:
            click.echo(f"{'':<8} {'':<24} -> {printable(each.remedy)}")
    counts = Counter(each.severity for each in findings)
    told = ", ".join(f"{counts[name]} {name}" for name in reversed(WORST) if counts[name])
    click.echo(f"\n{len(findings)} findings: {told}" if findings else "nothing was checked")
