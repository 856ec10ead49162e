"""What was accepted: the head (who, when, how), the content, and their packed forms.

Takes and gives values; no I/O. Both packed forms start with one format byte, so that a newer
release can read what an older one wrote. A format byte nobody knows raises `UnknownFormat`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MessageClass = Literal["critical", "transactional", "bulk"]
CLASSES: tuple[MessageClass, ...] = ("critical", "transactional", "bulk")
"""Most urgent first; the index is the class byte of a leg record."""

OnUncertain = Literal["resend", "hold"]
RecipientKind = Literal["to", "cc", "bcc"]


LAST_MS = 253_402_300_800_000
"""The end of the year 9999: what is beyond is no time."""
Moment = Annotated[int, msgspec.Meta(ge=0, lt=LAST_MS)]
"""Milliseconds since the epoch; checked when a stored value is read."""


class UnknownFormat(ValueError):
    """A stored value that this release cannot read, because it is damaged or of a newer one."""


class NewerFormat(UnknownFormat):
    """A stored value that a newer release has written."""


HIGHEST_FORMAT = 15
"""First bytes up to this are formats, of releases to come too; what is beyond was never one."""


def check_format(what: str, packed: bytes, known: int) -> None:
    """Raise `UnknownFormat` unless the value begins with the byte `known`, the newest format."""
    first = packed[0] if packed else 0
    if first != known:
        error = NewerFormat if known < first <= HIGHEST_FORMAT else UnknownFormat
        raise error(f"{what} format {first}")


class Address(msgspec.Struct, frozen=True, array_like=True):
    """One mailbox. `email` has its domain as lower-case A-labels; `name` is decoded text."""

    email: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The domain, as A-labels."""
        return self.email.rpartition("@")[2]


class Recipient(msgspec.Struct, frozen=True, array_like=True):
    """One recipient of a message; its index in `Head.recipients` is its identity there."""

    kind: RecipientKind
    email: str
    name: str = ""


class Attachment(msgspec.Struct, frozen=True, array_like=True):
    """A decoded attachment; with a `content_id` (no angle brackets) it is an inline part."""

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Everything about a message but its content. Times are milliseconds since the epoch, UTC."""

    application: str
    message_class: MessageClass
    message_id: str
    """The Message-ID header, with its angle brackets; the same on every attempt."""
    sender: Address
    """The From header."""
    return_path: str
    """The MAIL FROM address."""
    recipients: tuple[Recipient, ...]
    subject: str
    accepted_ms: Moment
    send_at_ms: Moment | None = None
    deliver_by_ms: Moment | None = None
    give_up_ms: Moment = 0
    """No attempt starts after this: the earlier of `deliver_by` and the retry schedule's end."""
    on_uncertain: OnUncertain = "resend"
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    content_bytes: int = 0
    """Size of the content before compression."""
    request_id: str = ""
    """Of the request that brought it; empty where an older release has accepted it."""
    list: str = ""
    """The list it is sent to the subscribers of, who can leave it by one click; empty: none."""

    @property
    def date_ms(self) -> int:
        """The time in the Date header: when it was to be sent, fixed once."""
        return max(self.accepted_ms, self.send_at_ms or 0)


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What the rendered message is made of, beside the head."""

    text: str | None = None
    html: str | None = None
    reply_to: tuple[Address, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Message(msgspec.Struct, frozen=True):
    """A validated message that has its id but is not stored yet."""

    id: bytes
    """16 bytes, a UUIDv7."""
    head: Head
    content: Content


_HEAD_FORMAT = 1
_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_content = msgspec.msgpack.Decoder(Content).decode


def pack_head(head: Head) -> bytes:
    """`head` as stored: the format byte 1, then msgpack."""
    return bytes((_HEAD_FORMAT,)) + _encode(head)


def unpack_head(packed: bytes) -> Head:
    """The inverse of `pack_head`. Raises `UnknownFormat`."""
    check_format("head", packed, _HEAD_FORMAT)
    try:
        return _decode_head(memoryview(packed)[1:])
    except (ValueError, msgspec.MsgspecError) as error:
        raise UnknownFormat("the head is damaged") from error


def encode_content(content: Content) -> bytes:
    """`content` as msgpack, uncompressed; `shared.compression` adds the format byte."""
    return _encode(content)


def decode_content(data: bytes) -> Content:
    """The inverse of `encode_content`. Raises `UnknownFormat`."""
    try:
        return _decode_content(data)
    except (ValueError, msgspec.MsgspecError) as error:
        raise UnknownFormat("the content is damaged") from error
