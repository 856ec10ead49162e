"""The port of recent messages: a page of the newest, and those of them that are sought.

Messages stand in the order in which they were accepted, each at a position: a number that stays
its own, whatever comes and goes. A page ends where it has enough or has looked at enough, and says
where the next one begins, so that no request takes long however much there is. What is gone,
damaged or of a newer release is passed over. Of messages accepted before there was a list, nothing
is known here. Blocking; every method may raise the `StoreError` family and nothing else.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from shared.model.message import Head, MessageClass
from shared.model.status import Status

MOST_SCANNED = 2000
"""How many messages one request looks at: some 10 ms of an idle machine, 100 of a crowded one."""


class Sought(msgspec.Struct, frozen=True):
    """What a message must have, all of it; a field that is empty or None asks nothing."""

    recipient: str = ""
    """A recipient's address, or a part of one; upper and lower case are the same."""
    sender: str = ""
    """The address in From, or a part of it; as `recipient`."""
    subject: str = ""
    """Words, each of which is somewhere in the subject; upper and lower case are the same."""
    application: str = ""
    message_class: MessageClass | None = None
    tag: str = ""
    status: Status | None = None
    """At least one recipient has it."""
    since_ms: int | None = None
    """Accepted then or later."""
    until_ms: int | None = None
    """Accepted before."""


class Entry(msgspec.Struct, frozen=True):
    """One message of a page."""

    position: int
    message_id: bytes
    head: Head
    statuses: tuple[Status, ...]
    """By index in `Head.recipients`."""


class RecentPage(msgspec.Struct, frozen=True):
    """A stretch of the list, the newest first."""

    entries: tuple[Entry, ...]
    next: int | None = None
    """`before` of the page that goes on where this one stopped; None: there is nothing more."""
    scanned_to_ms: int | None = None
    """When the last message that was looked at was accepted; None: none was looked at."""


class Recent(Protocol):
    """Messages by the time of their acceptance."""

    def recent(self, before: int | None, most: int) -> RecentPage:
        """At most `most` of the newest, or of those before a position.

        It has fewer, and yet a `next`, where many in a row are gone.
        """
        ...

    def search(
        self, sought: Sought, before: int | None, most: int, scan: int = MOST_SCANNED
    ) -> RecentPage:
        """Those that have what is sought: at most `most`, after looking at no more than `scan`."""
        ...
