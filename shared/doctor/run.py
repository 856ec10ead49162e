"""All checks, run together, each with its time; what does not end in it is a finding.

A check that is cut short, or breaks, says so and spoils nothing for the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from shared.doctor.configuration import check_settings
from shared.doctor.console import check_console
from shared.doctor.direct import check_direct
from shared.doctor.disk import check_disk
from shared.doctor.feedback import check_feedback
from shared.doctor.files import check_files
from shared.doctor.finding import Finding
from shared.doctor.links import check_links
from shared.doctor.patient import Patient
from shared.doctor.records import check_dkim, check_names, check_spf
from shared.doctor.relays import check_egress, check_relays
from shared.doctor.store import check_store


class Check(msgspec.Struct, frozen=True):
    """One entry of the list."""

    name: str
    run: Callable[[Patient], Awaitable[list[Finding]]]
    outside: bool = False
    """Whether it asks beyond the store and this machine, so not with --offline."""


CHECKS = (
    Check("store", check_store),
    Check("disk", check_disk),
    Check("files", check_files),
    Check("settings", check_settings),
    Check("relay", check_relays),  # With --offline those on loopback only.
    Check("names", check_names, outside=True),
    Check("spf", check_spf, outside=True),
    Check("dkim", check_dkim, outside=True),
    Check("egress", check_egress, outside=True),
    Check("direct", check_direct, outside=True),
    Check("feedback", check_feedback),  # With --offline the key only.
    Check("links", check_links, outside=True),
    Check("console", check_console),  # With --offline all but its URL.
)


async def examine(patient: Patient, only: Sequence[str] = ()) -> list[Finding]:
    """The findings, in the order of the checks."""
    chosen = [
        check
        for check in CHECKS
        if (not only or check.name in only) and not (check.outside and patient.options.offline)
    ]
    found = await asyncio.gather(*(_run(check, patient) for check in chosen))
    return [each for findings in found for each in findings]


async def _run(check: Check, patient: Patient) -> list[Finding]:
    seconds = patient.options.seconds
    try:
        async with asyncio.timeout(seconds):
            return await check.run(patient)
    except TimeoutError:
        return [
            Finding(f"{check.name}.time", "warning", f"no answer within {seconds:g} s",
                    "ask again with more: --timeout SECONDS")
        ]  # fmt: skip
    except Exception as error:  # The outermost shell of a check.
        told = f"the check broke: {type(error).__name__}"
        return [Finding(f"{check.name}.broke", "error", told, "report it, with the command used")]
