"""The content of a message for who may see it: its headers, its source, its page and its text.

The source is what goes on the wire, rendered again: without the DKIM signature and without the
header lines that each copy has of its own (the reference, the Feedback-ID, the unsubscribe link).
Content that is gone or damaged is an ordinary answer. That of the console's own mail, which has
codes and links to sign in with, is shown to nobody.
"""

from __future__ import annotations

from email import message_from_bytes
from typing import Literal

import msgspec

from shared.api_keys import OWN_APPLICATION
from shared.compression import unpack_content
from shared.model.message import Attachment, Content, Head, NewerFormat, UnknownFormat
from shared.render import render
from shared.store.ports import Spool, Stored
from web.inbox.reading import decoded
from web.preview.page import Image

MOST_SHOWN_BYTES = 1_000_000
"""Of the source, on the page. A download has all of it."""

Missing = Literal["gone", "damaged", "newer", "private"]
WORDS: dict[Missing, str] = {
    "gone": "The content is no longer kept: it goes once every recipient has a final status.",
    "damaged": "What is stored of this message is damaged, so its content cannot be shown.",
    "newer": "A newer release has written this message. This one cannot read it.",
    "private": "This is mail of the console itself. Nobody is shown what it says.",
}


class Written(msgspec.Struct, frozen=True):
    """A message with its content, or why there is none to show."""

    head: Head
    content: Content | None = None
    missing: Missing | None = None

    @property
    def why(self) -> str:
        """Why there is nothing to show; empty: there is."""
        return WORDS[self.missing] if self.missing else ""


def written(spool: Spool, stored: Stored) -> Written:
    """The content of a stored message. Raises the `StoreError` family."""
    head = stored.head
    if head.application == OWN_APPLICATION:
        return Written(head, missing="private")
    if not head.application:  # A stand-in: nobody knows whose it is.
        return Written(head, missing="damaged")
    packed = spool.content(stored.id)
    if packed is None:
        return Written(head, missing="gone")
    try:
        return Written(head, unpack_content(packed))
    except NewerFormat:
        return Written(head, missing="newer")
    except UnknownFormat:
        return Written(head, missing="damaged")


def source(head: Head, content: Content) -> bytes | None:
    """The message as bytes; None when it cannot be rendered."""
    try:
        return render(head, content)
    except ValueError:
        return None


def beginning(head: Head, content: Content) -> tuple[str, bool] | None:
    """The source as text, at most `MOST_SHOWN_BYTES` of it, and whether that is all; None as above.

    Attachments are rendered only as far as they are shown.
    """
    room, kept = MOST_SHOWN_BYTES, list[Attachment]()
    for each in content.attachments:
        kept.append(msgspec.structs.replace(each, content=each.content[:room]))
        room = max(0, room - len(each.content))
    found = source(head, msgspec.structs.replace(content, attachments=tuple(kept)))
    if found is None:
        return None
    whole = len(found) <= MOST_SHOWN_BYTES and tuple(kept) == content.attachments
    return found[:MOST_SHOWN_BYTES].decode("utf-8", "replace"), whole


def headers(head: Head, content: Content) -> list[tuple[str, str]] | None:
    """Each header with its value decoded, in order; None as above."""
    found = source(head, msgspec.structs.replace(content, text="", html=None, attachments=()))
    if found is None:
        return None
    top = found.partition(b"\r\n\r\n")[0]
    return [(name, decoded(value)) for name, value in message_from_bytes(top).raw_items()]


def images(content: Content) -> dict[str, Image]:
    """Inline images, by Content-ID."""
    return {
        each.content_id: Image(each.content_type, each.content)
        for each in content.attachments
        if each.content_id
    }
