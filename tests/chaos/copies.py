"""What the receiver notes of each copy, and what names a delivery. Values only."""

from __future__ import annotations

import msgspec

Pair = tuple[int, str]
"""A message's number and one of its recipients: what must arrive, and once."""
Flight = tuple[int, str, int]
"""One copy: a message's number, a recipient, and the how manieth of that pair."""
End = tuple[int, str, int]
"""A connection to the receiver: the client's port, and the host and port that it connected to."""


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """One recipient's copy of a message, accepted by the receiver."""

    number: int
    """What the message's own header says."""
    recipient: str
    message_id: str
    """The Message-ID header."""
    at: float
    """Monotonic seconds, the same clock in every process of this machine."""
    session: int
    """The number of the connection that it came by."""
    content: int
    """A checksum of the message without what is random or each copy's own."""
    nth: int = 1
    """The how manieth of this pair it is; 1 is the first."""
    door: str = ""
    """The receiver's door that it came by."""
    in_list: bool = False
    """Whether it had an unsubscribe link of ours."""

    @property
    def pair(self) -> Pair:
        """Whose copy it is."""
        return self.number, self.recipient

    @property
    def flight(self) -> Flight:
        """Which copy it is."""
        return self.number, self.recipient, self.nth

    @property
    def stored_as(self) -> bytes:
        """The 16 bytes by which the store knows the message."""
        return bytes.fromhex(self.message_id.lstrip("<").partition("@")[0])
