"""Mail kept for a look, as the store has it: bounded, and its content apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.store.returns import MOST_CONTENT_BYTES, Returned

MOST_ADDRESS = 320
MOST_SUBJECT = 200
MOST_REASON = 64
"""Characters."""

_FORMAT = b"\x01"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Returned).decode


def _text(text: str, most: int) -> str:
    """At most so many characters, all of which can be written."""
    return text[:most].encode(errors="replace").decode()


def bounded(mail: Returned) -> Returned:
    """Mail as it is kept."""
    return msgspec.structs.replace(
        mail,
        reason=_text(mail.reason, MOST_REASON),
        sender=_text(mail.sender, MOST_ADDRESS),
        recipient=_text(mail.recipient, MOST_ADDRESS),
        subject=_text(mail.subject, MOST_SUBJECT),
        content=mail.content[:MOST_CONTENT_BYTES],
    )


def pack_about(mail: Returned) -> bytes:
    """All but the content."""
    return _FORMAT + _encode(msgspec.structs.replace(mail, content=b""))


def unpack_about(packed: Iterable[bytes | None]) -> list[Returned]:
    """The inverse, of many. What is gone meanwhile, or cannot be read, is passed over."""
    return [mail for each in packed if (mail := _read(each)) is not None]


def _read(packed: bytes | None) -> Returned | None:
    if packed is None or packed[:1] != _FORMAT:
        return None
    try:
        return _decode(packed[1:])
    except (msgspec.MsgspecError, ValueError):
        return None
