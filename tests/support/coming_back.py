"""Mail that is delivered, and what comes back of it: bounces, complaints, clicks."""

from __future__ import annotations

import smtplib
import urllib.request
from urllib.parse import urlsplit

from tests.support.returns import DOMAIN, arf, dsn
from tests.support.smtp_server import Captured
from tests.support.system import System, poll

SETTINGS = f"""
[unsubscribe]
url = "https://mail.shop.test"
[bounces]
domains = ["{DOMAIN}"]
"""
"""More of `[bounces]` may follow."""
FORGED = f"b-{'a' * 61}@{DOMAIN}"


def _delivered(system: System, to: str) -> Captured | None:
    """The copy of a message to a list; None: the server did not take it this time."""
    identifier = system.send(**{"to": to, "class": "bulk", "list": "weekly"})
    ended = poll(lambda: system.recipients(identifier)[0]["status"] not in ("queued", "scheduled"))
    if not ended or system.recipients(identifier)[0]["status"] != "delivered":
        return None
    name = identifier.removeprefix("msg_")
    return next(each for each in system.server.answered() if name in each.header("Message-ID"))


def _bring(system: System, recipient: str, message: bytes) -> bool:
    """Whether the server for bounces takes a message."""
    host, port = system.facts()["bounces"].removeprefix("smtp://").split(":")
    with smtplib.SMTP(host, int(port)) as client:
        try:
            client.sendmail("", [recipient], message)
        except smtplib.SMTPRecipientsRefused:
            return False
    return True


def bounced_later(system: System, to: str) -> str:
    """A message that was delivered and comes back, its address dead; its return path, or empty."""
    copy = _delivered(system, to)
    if copy is None:
        return ""
    assert _bring(system, copy.mail_from, dsn(to))
    return copy.mail_from


def complained(system: System, to: str) -> bool:
    """One whose reader says that it is spam; False: it was not delivered."""
    copy = _delivered(system, to)
    if copy is None:
        return False
    return _bring(system, f"complaints@{DOMAIN}", arf(copy.header("X-Posthaste-Reference")))


def unsubscribed(system: System, to: str) -> bool:
    """One whose reader clicks its link; False: it was not delivered."""
    copy = _delivered(system, to)
    if copy is None:
        return False
    path = urlsplit(copy.header("List-Unsubscribe").strip("<>")).path
    return clicked(system, path)


def clicked(system: System, path: str) -> bool:
    """What a mail program sends."""
    request = urllib.request.Request(  # noqa: S310 - Loopback.
        system.http + path, b"List-Unsubscribe=One-Click",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return bool(response.status == 200)


def everything_comes_back(system: System, number: int) -> None:
    """Of each kind one, as far as the server takes the mail; `number` makes addresses new."""
    bounced_later(system, f"late{number}@example.test")
    angry = f"angry{number}@example.test"
    if complained(system, angry):
        system.send(to=angry)  # Suppressed.
    unsubscribed(system, f"tired{number}@example.test")
    _bring(system, f"postmaster@{DOMAIN}", b"Subject: hello\r\n\r\nwho are you?\r\n")
    assert not _bring(system, FORGED, dsn("somebody@example.test"))
