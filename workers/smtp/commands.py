"""A delivery's commands for one server: MAIL and every RCPT, with what that server has offered.

`prepare` makes them, or tells what the delivery comes to where it cannot be sent at all. Pure.
"""

from __future__ import annotations

from workers.smtp.replies import command, path, xtext
from workers.smtp.types import Broken, Delivery, Envelope, Reply, Stage, Transaction


def prepare(delivery: Delivery, offered: dict[str, str], dsn: str) -> Transaction | None:
    """Make its commands for a server; or what it comes to, when it cannot be sent there."""
    envelope = delivery.envelope
    if envelope.smtputf8 and "SMTPUTF8" not in offered:
        # RFC 6531 section 3.2: there is no other form of it that this server could take.
        return _refused(envelope, Reply(553, "5.6.7", "the server does not support SMTPUTF8"))
    if envelope.eight_bit and "8BITMIME" not in offered:
        return Transaction(Stage.MAIL, seven_bit_only=True)
    limit = offered.get("SIZE", "")
    if limit.isdecimal() and 0 < int(limit) < len(delivery.message):
        # RFC 1870 section 6.2: a message larger than the fixed maximum need not be tried.
        text = f"message of {len(delivery.message)} octets, the server takes {int(limit)}"
        return _refused(envelope, Reply(552, "5.3.4", text))
    try:
        delivery.commands = commands(envelope, len(delivery.message), offered, dsn)
    except Broken as broken:  # Nothing that validation lets through comes here.
        return _refused(envelope, Reply(553, "5.1.3", broken.why))
    return None


def _refused(envelope: Envelope, reply: Reply) -> Transaction:
    return Transaction(Stage.MAIL, recipients={index: reply for index, _ in envelope.recipients})


def commands(envelope: Envelope, size: int, offered: dict[str, str], dsn: str) -> list[bytes]:
    """MAIL and every RCPT, with the parameters that the server offered. Raises `Broken`."""
    mail = f"MAIL FROM:{path(envelope.mail_from)}"
    if "SIZE" in offered:
        mail += f" SIZE={size}"
    if envelope.smtputf8:
        mail += " SMTPUTF8"
    if (envelope.eight_bit or envelope.smtputf8) and "8BITMIME" in offered:
        mail += " BODY=8BITMIME"
    with_dsn = dsn != "off" and "DSN" in offered
    if with_dsn:
        mail += f" RET=HDRS ENVID={xtext(envelope.envid)}" if envelope.envid else " RET=HDRS"
    lines = [command(mail)]
    for _, to in envelope.recipients:
        text = f"RCPT TO:{path(to)}"
        if with_dsn:
            text += f" NOTIFY={dsn.upper()}"
            if to.isascii():
                text += f" ORCPT=rfc822;{xtext(to)}"
        lines.append(command(text))
    return lines
