"""Identifiers: 16 random, time-ordered bytes inside, opaque prefixed strings outside."""

from __future__ import annotations

import re

import uuid_utils

_EXTERNAL = re.compile(r"msg_[0-9a-f]{32}\Z")


def new_message_id() -> bytes:
    """A UUIDv7 (RFC 9562 section 5.7) as 16 bytes."""
    return uuid_utils.uuid7().bytes


def accepted_ms(identifier: bytes) -> int:
    """When a message or leg came into being: a UUIDv7 begins with its time in ms, 48 bits."""
    return int.from_bytes(identifier[:6], "big")


def external(message_id: bytes) -> str:
    """`msg_` and 32 hexadecimal digits."""
    return "msg_" + message_id.hex()


def parse_external(text: str) -> bytes | None:
    """The 16 bytes of an external id, or None when `text` is not one."""
    return bytes.fromhex(text[4:]) if _EXTERNAL.match(text) else None


def message_id_header(message_id: bytes, from_domain: str) -> str:
    """The Message-ID header of a message (RFC 5322 section 3.6.4), in the From domain."""
    return f"<{message_id.hex()}@{from_domain}>"
