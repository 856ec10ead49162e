"""Complaints: feedback reports (ARF, RFC 5965), and the shapes that came before or beside it.

Only abuse, fraud, virus and other are complaints. not-spam says the contrary; opt-out asks to be
taken off a list, auth-failure (RFC 6591) and dmarc are about authentication: they have a type, too,
but their kind is other.
"""

from __future__ import annotations

import re

import msgspec

from workers.returns.fields import Fields, fields_of
from workers.returns.gathered import Gathered
from workers.returns.trouble import Troubles

COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})
"""RFC 5965 section 7.3, but for not-spam."""
FIELDS = frozenset({
    "feedback-type", "user-agent", "version", "original-envelope-id", "original-mail-from",
    "original-rcpt-to", "arrival-date", "received-date", "reporting-mta", "source-ip", "incidents",
    "authentication-results", "reported-domain", "reported-uri", "removal-recipient",
    "redacted-address", "abuse-type", "subscription-link", "source-port", "message-id",
    "dkim-domain",
    "auth-failure", "delivery-result", "identity-alignment", "original-rcpt-from",
})  # fmt: skip
_TYPE = re.compile(r"[\s\"'(]*([A-Za-z][\w-]{0,39})")
_XARF_FIELDS = frozenset({
    "reported-from", "category", "report-type", "service", "user-agent", "version", "date",
    "source-type", "source", "port", "report-id", "schema-url", "attachment", "occurrences", "tlp",
})  # fmt: skip
_XARF_TYPES = {"abuse": "abuse", "fraud": "fraud", "virus": "virus", "malware": "virus"}


class Complaint(msgspec.Struct, frozen=True):
    """What a feedback report says, as far as it is not about whom."""

    feedback_type: str
    user_agent: str = ""
    source_ip: str = ""
    arrival: str = ""
    reported_domain: str = ""
    reporting_mta: str = ""


def read_feedback(body: bytes, gathered: Gathered, troubles: Troubles) -> Complaint:
    """The content of a message/feedback-report part."""
    fields = fields_of(body, troubles, FIELDS)
    types = fields.all("feedback-type")
    if len(types) > 1:
        troubles.add("several_feedback_types")
    found = _TYPE.match(types[0]) if types else None
    if found is None:
        troubles.add("no_feedback_type")
    for name in ("original-rcpt-to", "removal-recipient", "redacted-address"):
        for value in fields.all(name):
            gathered.typed(value)
    for value in fields.all("original-mail-from"):
        gathered.return_path(value + ("" if "@" in value else "@"))
    return Complaint(
        feedback_type=found[1].lower() if found else "",
        user_agent=fields.first("user-agent")[:200],
        source_ip=fields.first("source-ip")[:64],
        arrival=(fields.first("arrival-date") or fields.first("received-date"))[:100],
        reported_domain=fields.first("reported-domain")[:255].lower(),
        reporting_mta=fields.first("reporting-mta").rpartition(";")[2].strip()[:255],
    )


def from_original(original: Fields) -> Complaint | None:
    """Microsoft's junk mail reports: no report, only our message with a field of theirs in it."""
    if "x-hmxmroriginalrecipient" not in original:
        return None
    return Complaint(
        feedback_type="abuse",
        user_agent="JMRP",
        source_ip=original.first("x-originating-ip").strip("[] ")[:64],
    )


def from_xarf(header: Fields, text: str, troubles: Troubles) -> Complaint | None:
    """X-ARF (Abusix and others): a part of `Name: value` lines, told by a field of the header."""
    if not header.first("x-arf") and not header.first("x-xarf"):
        return None
    fields = fields_of(text.encode("utf-8", "replace"), troubles, _XARF_FIELDS)
    category = _XARF_TYPES.get(fields.first("category").lower().strip("\"' "), "")
    if not category:
        return None
    return Complaint(
        feedback_type=category,
        user_agent=fields.first("user-agent")[:200],
        source_ip=fields.first("source")[:64],
        arrival=fields.first("date")[:100],
    )


def from_spamcop(header: Fields, text: str) -> Complaint | None:
    """SpamCop's reports in words: the message stands under `[ Offending message ]`."""
    lower = text[:8000].lower()
    if "spamcop" not in header.first("from").lower() + header.first("x-mailer").lower():
        return None
    if "[ offending message ]" not in lower:
        return None
    return Complaint(feedback_type="abuse", user_agent="SpamCop")
