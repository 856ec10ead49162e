"""Signing: the stage between rendering and transmitting.

`Unsigned` is what applies where no key is configured: the message goes out as it is.
"""

from __future__ import annotations

from typing import Protocol

from shared.model.message import Head


class Signer(Protocol):
    """Puts signatures in front of a rendered message."""

    def sign(self, message: bytes, head: Head) -> bytes:
        """The message with its signature headers; exactly these bytes go on the wire."""
        ...


class Unsigned:
    """No key: sent unsigned."""

    def sign(self, message: bytes, head: Head) -> bytes:
        """`message` as it is."""
        del head
        return message
