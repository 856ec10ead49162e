"""The leg record: one message to one destination, as the packed value that Lua edits in place.

Layout, big-endian, 29 fixed bytes, then the variable part:

    B  format = 1
    B  state     1 ready, 2 leased, 3 waiting, 4 held, 5 final, 6 dead
    B  class     index in CLASSES
    B  crashes   leases that ran out after the delivery had started
    B  flags     1 started, 2 dot imminent, 4 hold when uncertain, 8 late delivery known
    I  fence     raised by every claim and every settle
    H  attempts
    H  legs      how many legs the message has
    d  due_ms    waiting: when it is due; leased: when it was claimed; else 0
    d  give_up_ms
    B  length, then the hop (the next hop's name); behind it, after a `|`, the application, which
       legs of a release before that do not have
    H  length, then one status letter a recipient
    H  length, then one H a recipient: its index in Head.recipients; empty: all, in order
    .. the history: the last attempts, msgpack, an array of `Attempt`; when there were more, before
       it the byte 193, H length, and the earlier ones, an array too, compressed

The scripts in `shared/store/lua` read the same layout; `tests/unit/shared/model/test_leg.py`
and the contract tests hold the two together. What cannot be read raises `UnknownFormat`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from enum import IntEnum, IntFlag

import msgspec

from shared.model.message import (
    CLASSES,
    LAST_MS,
    MessageClass,
    Moment,
    UnknownFormat,
    check_format,
)
from shared.model.status import BY_LETTER, OPEN, Status
from shared.model.turns import hop_and_application, queue_at

_FIXED = struct.Struct(">BBBBBIHHdd")
FORMAT = 1
MOST_PLACE_BYTES = 255
"""Of a hop and an application: behind a site's long name there may be less of the latter."""
KEPT_ATTEMPTS = 5
"""Attempts kept as they are; earlier ones are compressed: servers repeat themselves."""
MOST_EARLIER = 500
MOST_EARLIER_BYTES = 16 * 1024
"""Of the earlier attempts the oldest go first."""
LATE_BOUNCE = "bounced after delivery"
"""Note of what is no attempt: the mail had been taken, and a report says that it came back."""
_EARLIER = 193


class LegState(IntEnum):
    """What the store may do with a leg next."""

    READY = 1
    LEASED = 2
    WAITING = 3
    HELD = 4
    FINAL = 5
    DEAD = 6


class LegFlag(IntFlag):
    """Facts about the current lease and the message's wishes."""

    STARTED = 1
    DOT_IMMINENT = 2
    HOLD = 4
    LATE_DELIVERY = 8


class RecipientReply(msgspec.Struct, frozen=True, array_like=True):
    """What one attempt came to for one recipient."""

    recipient: int
    """Index in `Head.recipients`."""
    status: str
    """A status letter."""
    code: int = 0
    """The reply code; 0 when there was no reply."""
    enhanced: str = ""
    """The enhanced status code (RFC 3463), such as `5.1.1`."""
    text: str = ""
    """The server's words, control characters replaced, at most 200 characters."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try to deliver a leg."""

    at_ms: Moment
    hop: str
    replies: tuple[RecipientReply, ...]
    note: str = ""
    """Why there was no reply: `connection refused`, `timed out`, ...; empty otherwise."""
    bytes_sent: int = 0
    """Of the message, when nobody knows whether the server took it."""
    charged: bool = True
    """False: it was the relay's trouble, so it counts as none."""


class Leg(msgspec.Struct, frozen=True):
    """A decoded leg record."""

    state: LegState
    message_class: MessageClass
    hop: str
    statuses: tuple[Status, ...]
    recipients: tuple[int, ...] = ()
    """Indices into `Head.recipients`; empty means all of them, in order."""
    give_up_ms: int = 0
    due_ms: int = 0
    crashes: int = 0
    flags: LegFlag = LegFlag(0)
    fence: int = 0
    attempts: int = 0
    """Since it was accepted or queued again by an operator: the retry schedule goes by it."""
    legs: int = 1
    history: tuple[Attempt, ...] = ()
    """The last attempts."""
    earlier: bytes = b""
    """Those before them; see `all_attempts`."""
    application: str = ""
    """Whose turn it takes at the hop (`shared.model.turns`)."""

    def indices(self) -> tuple[int, ...]:
        """For each status, the recipient's index in `Head.recipients`."""
        return self.recipients or tuple(range(len(self.statuses)))

    def open_indices(self) -> tuple[int, ...]:
        """Indices in `Head.recipients` of those a worker still has to act on."""
        pairs = zip(self.indices(), self.statuses, strict=True)
        return tuple([index for index, status in pairs if status in OPEN])

    def all_attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that is still known, the first one first."""
        return (*_unpack_earlier(self.earlier), *self.history)

    def last_try(self) -> Attempt | None:
        """The last attempt; a report that mail came back is none."""
        return next((each for each in reversed(self.history) if each.note != LATE_BOUNCE), None)

    def cause(self) -> str:
        """Why the last attempt came to nothing, in the words of its note; empty without one."""
        last = self.last_try()
        return "" if last is None else last.note.partition(";")[0]


_encode = msgspec.msgpack.Encoder().encode
_decode_history = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode
_EMPTY_HISTORY = _encode(())


def pack_attempt(attempt: Attempt) -> bytes:
    """One entry of a history, and what an `attempt` event tells."""
    return _encode(attempt)


def pack_history(history: tuple[Attempt, ...], earlier: bytes = b"") -> bytes:
    """The tail of a record: the last `KEPT_ATTEMPTS`, behind what is earlier."""
    if not history:
        return _EMPTY_HISTORY
    if len(history) > KEPT_ATTEMPTS:
        earlier = _pack_earlier((*_unpack_earlier(earlier), *history[:-KEPT_ATTEMPTS]))
        history = history[-KEPT_ATTEMPTS:]
    if not earlier:
        return _encode(history)
    return struct.pack(">BH", _EARLIER, len(earlier)) + earlier + _encode(history)


def unpack_history(packed: bytes) -> tuple[tuple[Attempt, ...], bytes]:
    """The inverse of `pack_history`: the last attempts, and the earlier ones as they are kept."""
    if packed == _EMPTY_HISTORY:
        return (), b""
    if packed[0] != _EARLIER:
        return _decode_history(packed), b""
    (length,) = struct.unpack_from(">H", packed, 1)
    return _decode_history(packed[3 + length :]), packed[3 : 3 + length]


def _pack_earlier(attempts: tuple[Attempt, ...]) -> bytes:
    kept = attempts[-MOST_EARLIER:]
    while len(packed := zlib.compress(_encode(kept))) > MOST_EARLIER_BYTES:
        kept = kept[len(kept) // 4 + 1 :]
    return packed


def _unpack_earlier(packed: bytes) -> tuple[Attempt, ...]:
    try:
        return _decode_history(zlib.decompress(packed)) if packed else ()
    except (zlib.error, ValueError, msgspec.MsgspecError):
        return ()  # Damaged: the later ones are still told, and the mail goes its way.


def pack_statuses(statuses: tuple[Status, ...]) -> bytes:
    """One letter a recipient."""
    return "".join(status.letter for status in statuses).encode()


def pack_leg(leg: Leg) -> bytes:
    """The record as stored."""
    hop = queue_at(leg.hop, leg.application).encode()[:MOST_PLACE_BYTES]
    statuses = pack_statuses(leg.statuses)
    indices = struct.pack(f">{len(leg.recipients)}H", *leg.recipients)
    return b"".join(
        (
            _FIXED.pack(
                FORMAT,
                leg.state,
                CLASSES.index(leg.message_class),
                leg.crashes,
                leg.flags,
                leg.fence,
                leg.attempts,
                leg.legs,
                leg.due_ms,
                leg.give_up_ms,
            ),
            struct.pack(">B", len(hop)),
            hop,
            struct.pack(">H", len(statuses)),
            statuses,
            struct.pack(">H", len(leg.recipients)),
            indices,
            pack_history(leg.history, leg.earlier),
        )
    )


def unpack_leg(packed: bytes) -> Leg:
    """The inverse of `pack_leg`. Raises `UnknownFormat`."""
    return _checked(packed, unpack_history)


def salvage_leg(packed: bytes) -> Leg:
    """A leg without its history, which may be damaged. Raises `UnknownFormat`."""
    return _checked(packed, lambda _: ((), b""))


def letters_of(packed: bytes) -> bytes:
    """The status letters of a packed leg, with no look at the rest; of a damaged one, anything."""
    place = int.from_bytes(packed[_FIXED.size : _FIXED.size + 1])
    at = _FIXED.size + 1 + place
    return packed[at + 2 : at + 2 + int.from_bytes(packed[at : at + 2])]


def siblings_of(packed: bytes) -> int:
    """How many legs a packed leg's message has, with no look at the rest; as `letters_of`."""
    return int.from_bytes(packed[11:13])


_BROKEN = (struct.error, LookupError, ValueError, OverflowError, msgspec.MsgspecError)

Tail = Callable[[bytes], tuple[tuple[Attempt, ...], bytes]]


def _checked(packed: bytes, tail: Tail) -> Leg:
    check_format("leg", packed, FORMAT)
    try:
        return _unpack(packed, tail)
    except _BROKEN as error:
        raise UnknownFormat("the leg is damaged") from error


def _unpack(packed: bytes, tail: Tail) -> Leg:
    (_, state, klass, crashes, flags, fence, attempts, legs, due_ms, give_up_ms) = (
        _FIXED.unpack_from(packed)
    )
    at = _FIXED.size
    hop_end = at + 1 + packed[at]
    place = packed[at + 1 : hop_end].decode(errors="replace")
    hop, application = hop_and_application(place)
    (count,) = struct.unpack_from(">H", packed, hop_end)
    letters = packed[hop_end + 2 : hop_end + 2 + count].decode()
    at = hop_end + 2 + count
    (listed,) = struct.unpack_from(">H", packed, at)
    if not count or listed not in (0, count):
        raise ValueError("as many recipients as statuses")
    if not (0 <= due_ms < LAST_MS and 0 <= give_up_ms < LAST_MS):
        raise ValueError("a time")
    recipients = struct.unpack_from(f">{listed}H", packed, at + 2)
    history, earlier = tail(packed[at + 2 + 2 * listed :])
    return Leg(
        state=LegState(state),
        message_class=CLASSES[klass],
        hop=hop,
        statuses=tuple(BY_LETTER[letter] for letter in letters),
        recipients=recipients,
        give_up_ms=int(give_up_ms),
        due_ms=int(due_ms),
        crashes=crashes,
        flags=LegFlag(flags),
        fence=fence,
        attempts=attempts,
        legs=legs,
        history=history,
        earlier=earlier,
        application=application,
    )


def counted(leg: Leg) -> Leg:
    """The leg as it is shown: `attempts` are all that are known, also those before a requeue."""
    known = sum(1 for each in leg.all_attempts() if each.replies and each.charged)
    return msgspec.structs.replace(leg, attempts=known) if known > leg.attempts else leg


def leg_id(message_id: bytes, number: int) -> bytes:
    """18 bytes: the message's id and the leg's number."""
    return message_id + number.to_bytes(2, "big")


def message_of(leg: bytes) -> bytes:
    """The 16-byte message id of a leg id."""
    return leg[:16]
