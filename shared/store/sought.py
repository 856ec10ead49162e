"""Whether a message has what is sought: prepared once, asked for each. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from shared.addresses import ascii_domain, canonical, mailbox
from shared.model.message import Head
from shared.model.status import Status
from shared.store.recent import Sought

_SLACK_MS = 60_000
"""An id is made a moment before its message is stored, and messages overtake one another: so far
from a time that is sought the list still has some on both sides of it."""


class Seeker:
    """`Sought`, ready to be compared."""

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
        self._recipient = _part(sought.recipient)
        self._sender = _part(sought.sender)
        self._words = [_folded(word) for word in sought.subject.split()]
        until = sought.until_ms
        self.letter = b"" if sought.status is None else sought.status.letter.encode()
        """That of the status; empty: any."""
        self.latest_ms = None if until is None else max(0, until + _SLACK_MS)
        """What was accepted after this is not looked at."""
        since = sought.since_ms
        self.earliest_ms = None if since is None else max(0, since - _SLACK_MS)
        """Nor is what was accepted before this."""

    def wants(self, head: Head) -> bool:
        """Whether a message may be one of them, as far as its head tells."""
        sought = self._sought
        return (
            sought.application in ("", head.application)
            and sought.message_class in (None, head.message_class)
            and (sought.since_ms is None or head.accepted_ms >= sought.since_ms)
            and (sought.until_ms is None or head.accepted_ms < sought.until_ms)
            and (not sought.tag or sought.tag in head.tags)
            and (not self._sender or self._sender in canonical(head.sender.email))
            and (not self._recipient or self._has_recipient(head))
            and (not self._words or self._has_words(head.subject))
        )

    def wants_statuses(self, statuses: Iterable[Status]) -> bool:
        """Whether it is one of them, after `wants`."""
        return self._sought.status is None or self._sought.status in statuses

    def _has_recipient(self, head: Head) -> bool:
        return any(self._recipient in canonical(each.email) for each in head.recipients)

    def _has_words(self, subject: str) -> bool:
        folded = _folded(subject)
        return all(word in folded for word in self._words)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _part(text: str) -> str:
    """A part of an address as canonical addresses have it, whose domains are A-labels."""
    text = text.strip()
    if text.isascii():
        return text.lower()
    whole = mailbox(text)
    if whole is not None:
        return canonical(whole)
    local, at, domain = text.rpartition("@")
    found = ascii_domain(domain) if "." in domain else None
    return unicodedata.normalize("NFC", local.lower()) + at + (found or _lower(domain))


def _lower(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())
