"""The field `list`: mail that its reader can leave by one click (RFC 8058).

It is for class bulk, and for one recipient in to and cc: the link in a copy is its reader's own.
A recipient in bcc is another reader, whose copy has a link of its own. Names are compared as
characters, in NFC: `News` and `news` are two lists.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from shared.model.message import MessageClass, Recipient
from web.validation.policy import Policy
from web.validation.report import Report, escape, line

MAX_LIST = 64
MAX_LIST_OCTETS = 255
"""In UTF-8: what the suppression list keeps. With more, nobody could leave the list."""
MAX_LINK = 556
"""Octets of application, list and address: with more, the header with the link would be over a
line's 998 (RFC 5322 section 2.1.1), where `unsubscribe.url` has the 200 that it may have."""
_OURS = ("list-unsubscribe", "list-unsubscribe-post")


def mailing_list(
    value: object,
    message_class: MessageClass,
    recipients: Sequence[Recipient],
    headers: Sequence[tuple[str, str]],
    policy: Policy,
    report: Report,
) -> str:
    """The list's name, in NFC; empty when there is none, or after a report."""
    if value is None:
        return ""
    feedback = policy.settings.feedback
    if not (policy.settings.unsubscribe.url and (feedback.key or feedback.key_file)):
        report.add(
            "/list",
            "unsubscribe_not_configured",
            "This installation has no unsubscribe links: whoever runs it sets unsubscribe.url and"
            " feedback.key_file.",
        )
    if message_class != "bulk":
        report.add("/list", "list_needs_bulk", "Only mail of class bulk has a list.")
    if recipients and sum(each.kind != "bcc" for each in recipients) != 1:
        report.add(
            "/list",
            "list_needs_one_recipient",
            "A list's message has one recipient in to and cc, whose own link it carries: send each"
            " subscriber a message, for example in a batch.",
        )
    for name, _ in headers:
        if name.lower() in _OURS:
            detail = "Set by the field list: leave out the one or the other."
            report.add(f"/headers/{escape(name)}", "reserved_header", detail)
    return _name(value, policy.application, recipients, report)


def _name(value: object, application: str, recipients: Sequence[Recipient], report: Report) -> str:
    found = line(value, "/list", report, limit=4 * MAX_LIST)
    if found is None:
        return ""
    name = unicodedata.normalize("NFC", found)
    longest = max((len(each.email.encode()) for each in recipients), default=0)
    if not (1 <= len(name) <= MAX_LIST and len(name.encode()) <= MAX_LIST_OCTETS):
        detail = f"A list's name has 1 to {MAX_LIST} characters, of {MAX_LIST_OCTETS} octets."
        report.add("/list", "bad_length", detail)
    elif not name.isprintable() or name != name.strip():
        detail = "A list's name is printable, without spaces at its ends."
        report.add("/list", "bad_list_name", detail)
    elif len(application.encode()) + len(name.encode()) + longest > MAX_LINK:
        detail = f"With the names of application and recipient at most {MAX_LINK} octets."
        report.add("/list", "too_long", detail)
    else:
        return name
    return ""
