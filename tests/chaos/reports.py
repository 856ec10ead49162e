"""What the receiver sends back about a copy: a DSN (RFC 3464) or a complaint (RFC 5965). Pure."""

from __future__ import annotations

import msgspec

from tests.chaos.fates import BOUNCES_DOMAIN, Kind

COMPLAINTS = f"complaints@{BOUNCES_DOMAIN}"
_SAYS: dict[Kind, tuple[str, str, str]] = {
    "dead": ("failed", "5.1.1", "550 5.1.1 <{to}>: no such user here"),
    "refused": ("failed", "5.7.1", "550 5.7.1 message refused by policy"),
    "delayed": ("delayed", "4.4.1", "451 4.4.1 no answer from host"),
}


class Report(msgspec.Struct, frozen=True):
    """A mail to send."""

    sender: str
    """Of a DSN none: nobody answers it."""
    recipient: str
    content: bytes


def report(kind: Kind, to: str, return_path: str, header: bytes) -> Report:
    """About the copy for `to`, of which `header` comes back, as its server and filters wrote it."""
    if kind == "complaint":
        return Report(f"fbl@{_domain(to)}", COMPLAINTS, _complaint(to, header))
    return Report("", return_path, _dsn(kind, to, return_path, header))


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _dsn(kind: Kind, to: str, return_path: str, header: bytes) -> bytes:
    action, status, says = _SAYS[kind]
    host = f"mx.{_domain(to)}"
    top = f"""\
From: MAILER-DAEMON@{host} (Mail Delivery System)
To: {return_path}
Subject: Delivery Status Notification
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

--=_b
Content-Type: text/plain

This is the mail system at host {host}.

--=_b
Content-Type: message/delivery-status

Reporting-MTA: dns; {host}

Final-Recipient: rfc822; {to}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {says.format(to=to)}

--=_b
Content-Type: text/rfc822-headers

"""
    return _joined(top, header)


def _complaint(to: str, header: bytes) -> bytes:
    top = f"""\
From: fbl@{_domain(to)}
To: {COMPLAINTS}
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_b"

--=_b
Content-Type: text/plain

This is a complaint about a message.

--=_b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Chaos/1.0
Version: 1
Original-Rcpt-To: <{to}>

--=_b
Content-Type: text/rfc822-headers

"""
    return _joined(top, header)


def _joined(top: str, header: bytes) -> bytes:
    """No line of a header begins with a dot, so that nothing is to be stuffed."""
    return top.replace("\n", "\r\n").encode() + header + b"\r\n--=_b--\r\n"
