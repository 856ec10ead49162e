"""A draft, its files, and what is stored of them. Pure.

The list of a user's drafts, what was typed in one, and the count of all bytes each begin with a
format byte.
"""

from __future__ import annotations

import msgspec

from shared.model.message import check_format
from web.console.typed import Typed

DAY_MS = 24 * 3600 * 1000
_FORMAT = 1
_encode = msgspec.msgpack.Encoder().encode


class File(msgspec.Struct, frozen=True):
    """One attachment; its content is the record `draft-files` with this id."""

    id: str
    name: str
    content_type: str
    size: int


class Draft(msgspec.Struct, frozen=True):
    """One draft, without what was typed."""

    id: str
    begun_ms: int
    saved_ms: int
    subject: str = ""
    """Its beginning, for the list."""
    files: tuple[File, ...] = ()
    message: str = ""
    """The message it was sent as, by its external id; empty: it was not."""
    sent_ms: int = 0
    again: str = ""
    """The message that this one corrects, and how (`web.console.again`)."""

    @property
    def ends_ms(self) -> int:
        """When it ends by itself."""
        return (self.sent_ms or self.begun_ms) + DAY_MS

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


class Limits(msgspec.Struct, frozen=True):
    """Of files, in bytes; `files` is how many a draft may have."""

    files: int
    draft_bytes: int
    all_bytes: int


class NoDraft(Exception):
    """There is none of this name that is this user's."""


class Ended(NoDraft):
    """It was this user's, and is too old."""


class WasSent(Exception):
    """Nothing can be changed any more; `message` is the external id."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NoRoom(Exception):
    """Why a draft or a file is not taken, in words."""


class Total(msgspec.Struct, frozen=True):
    """Bytes of all files of all users; the revision tells apart two states of the same size."""

    size: int
    revision: int


_decode_list = msgspec.msgpack.Decoder(tuple[Draft, ...]).decode
_decode_typed = msgspec.msgpack.Decoder(Typed).decode
_decode_total = msgspec.msgpack.Decoder(Total).decode


def pack_list(drafts: tuple[Draft, ...]) -> bytes:
    """As stored: the format byte 1, then msgpack."""
    return bytes((_FORMAT,)) + _encode(drafts)


def unpack_list(packed: bytes | None) -> tuple[Draft, ...]:
    """The inverse; of nothing, none. Raises `UnknownFormat`."""
    if packed is None:
        return ()
    check_format("drafts", packed, _FORMAT)
    return _decode_list(packed[1:])


def pack_typed(typed: Typed) -> bytes:
    """As stored."""
    return bytes((_FORMAT,)) + _encode(typed)


def unpack_typed(packed: bytes) -> Typed:
    """The inverse. Raises `UnknownFormat`."""
    check_format("draft", packed, _FORMAT)
    return _decode_typed(packed[1:])


def pack_total(total: Total) -> bytes:
    """As stored."""
    return bytes((_FORMAT,)) + _encode(total)


def unpack_total(packed: bytes | None) -> Total:
    """The inverse; of nothing, none. Raises `UnknownFormat`."""
    if packed is None:
        return Total(0, 0)
    check_format("drafts' bytes", packed, _FORMAT)
    return _decode_total(packed[1:])
