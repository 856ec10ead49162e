"""Unsubscribe links: whether web answers under the name that mail programs are told.

It asks for a link that nobody has: web says 404 with its own page, and changes nothing.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl

from shared.doctor.asking import ask_web, reason
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient

_NOBODYS = "/u/doctor"
_OURS = "noindex"
"""What web's page says to search engines (`X-Robots-Tag`)."""


async def check_links(patient: Patient) -> list[Finding]:
    """One request to `unsubscribe.url`; nothing where that is empty."""
    url = patient.settings.unsubscribe.url
    if not url:
        return []
    try:
        answer = await asyncio.to_thread(ask_web, url + _NOBODYS, patient.options.seconds / 2)
    except ssl.SSLCertVerificationError as error:
        return [
            Finding(
                "links.url", "error", f"the certificate of {url}: {error.verify_message}",
                "give it one that everybody trusts, for this name: else no mail program clicks",
            )
        ]  # fmt: skip
    except (OSError, http.client.HTTPException) as error:
        return [
            Finding(
                "links.url", "warning", f"{url} does not answer here: {reason(error)}",
                "try it from another network; else lead this name and port to nginx or web, and"
                " pass /u/ on",
            )
        ]  # fmt: skip
    return [_judged(url, answer.status, answer.header("Location"), answer.header("X-Robots-Tag"))]


def _judged(url: str, status: int, location: str, robots: str) -> Finding:
    if 300 <= status < 400:
        return Finding(
            "links.url", "error", f"{url} sends on to {location[:100]}",
            "let it answer itself: mail programs do not follow (RFC 8058 section 3.2)",
        )  # fmt: skip
    if status == 404 and robots == _OURS:
        return ok("links.url", f"{url} leads to web, which knows no such link")
    return Finding(
        "links.url", "warning", f"{url}{_NOBODYS} answers {status}, and not with our page",
        "lead this name to nginx or web, and pass /u/ on as it is",
    )  # fmt: skip
