"""Messages of several legs, kept as they were rendered: their copies differ in header lines only.

A message to 150 people is not fetched, rendered and hashed 150 times. Bounded in bytes and time;
what is not there is made anew. Safe from any thread. Nothing is kept of a message of one leg.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from shared.clock import Clock
from shared.model.leg import message_of
from shared.model.message import Content
from shared.render import render
from shared.store.ports import Claimed
from workers.sign import BodyHash

MOST_BYTES = 32 * 1024 * 1024
"""Of contents and messages together: one of the largest that are accepted has room."""
KEPT_SECONDS = 30.0


class Rendered(msgspec.Struct, frozen=True):
    """A message without what is of one copy alone."""

    message: bytes
    body_hash: BodyHash


class _Kept(msgspec.Struct):
    since: float
    content: Content
    size: int
    forms: dict[tuple[int, bool], Rendered] = {}
    """By the time in the Date header (it may be rescheduled), and whether in seven bits."""


class Copies:
    """What is kept, by message."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def content(self, claimed: Claimed) -> Content | None:
        """A message's content; None: it is not kept."""
        if claimed.leg.legs == 1:
            return None
        with self._lock:
            self._drop_old()
            found = self._kept.get(message_of(claimed.leg_id))
        return found.content if found is not None else None

    def keep(self, claimed: Claimed, content: Content) -> None:
        """Keep it for the message's other legs."""
        message_id, size = message_of(claimed.leg_id), claimed.head.content_bytes
        if claimed.leg.legs == 1:
            return
        with self._lock:
            if message_id not in self._kept:
                self._kept[message_id] = _Kept(self._clock.monotonic(), content, size)
                self._add(size)

    def rendered(self, claimed: Claimed, content: Content, *, seven_bit: bool) -> Rendered:
        """The message."""
        head, form = claimed.head, (claimed.head.date_ms, seven_bit)
        kept = self._kept.get(message_of(claimed.leg_id))
        found = kept.forms.get(form) if kept is not None else None
        if found is not None:
            return found
        made = Rendered(render(head, content, seven_bit=seven_bit), BodyHash())
        with self._lock:
            kept = self._kept.get(message_of(claimed.leg_id))
            if kept is not None and form not in kept.forms:
                kept.forms[form] = made
                kept.size += len(made.message)
                self._add(len(made.message))
        return made

    def _add(self, size: int) -> None:
        """So much more is kept: others make room."""
        self._bytes += size
        while self._bytes > MOST_BYTES:
            self._drop_first()

    def _drop_old(self) -> None:
        before = self._clock.monotonic() - KEPT_SECONDS
        while self._kept and next(iter(self._kept.values())).since < before:
            self._drop_first()

    def _drop_first(self) -> None:
        _, gone = self._kept.popitem(last=False)
        self._bytes -= gone.size
