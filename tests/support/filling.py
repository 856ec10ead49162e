"""A store with a great many messages, written straight to it: what accept and settle would leave.

Hundreds of thousands of messages take half a minute so, and ten by the scripts.
`tests/contract/test_filling.py` holds what is written to the readers and to the scripts: counts,
messages, the pump, claims, the list of recent messages. Of events there are none, as after a trim.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from shared.compression import pack_content
from shared.ids import message_id_header
from shared.model.leg import (
    Attempt,
    Leg,
    LegState,
    RecipientReply,
    leg_id,
    pack_leg,
)
from shared.model.message import CLASSES, Address, Content, Head, MessageClass, Recipient, pack_head
from shared.model.status import Status
from shared.store.attempts import attempt_counter
from shared.store.connection import SyncRedis, Value
from shared.store.outcomes import outcome_counter, outcome_field
from shared.store.scripts import PREFIX

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
AT_ONCE = 2000
APPLICATIONS = ("shop", "billing", "accounts", "newsletter", "alerts", "support")
HOPS = ("gw1", "gw2", "partner", "legacy")
_WORDS = ("order", "invoice", "receipt", "password", "parcel", "report", "meeting", "offer",
          "reminder", "statement")  # fmt: skip
_REPLIES = {
    Status.DELIVERED: (250, "2.0.0", "queued as 4Xw2Qk1"),
    Status.BOUNCED: (550, "5.1.1", "no such user here"),
    Status.DEFERRED: (450, "4.2.0", "greylisted, try again later"),
}


_ENDED = struct.Struct(">d")
_ASIDE = {LegState.DEAD: "dead", LegState.HELD: "held"}


class Made(msgspec.Struct, frozen=True):
    """One message to be written."""

    id: bytes
    head: Head
    leg: Leg
    ended_ms: int


def made(number: int, at_ms: int, now_ms: int, status: Status, rng: random.Random) -> Made:
    """A message with one attempt behind it, accepted at a time."""
    message_class: MessageClass = rng.choices(CLASSES, (1, 6, 3))[0]
    application, hop = rng.choice(APPLICATIONS), rng.choice(HOPS)
    identifier = uuid7(at_ms)
    head = Head(
        application, message_class, message_id_header(identifier, "shop.test"),
        Address(f"{application}@shop.test", application.title()), f"{application}@shop.test",
        (Recipient("to", f"customer{number}@example.test"),),
        f"Your {rng.choice(_WORDS)} {number} and {rng.choice(_WORDS)}", at_ms,
        give_up_ms=at_ms + 5 * DAY_MS, tags=(rng.choice(_WORDS),), content_bytes=400,
        request_id=f"{number:032x}",
    )  # fmt: skip
    tried_ms = min(now_ms, at_ms + 500)
    code, enhanced, text = _REPLIES[status]
    reply = RecipientReply(0, status.letter, code, enhanced, text)
    waits = status is Status.DEFERRED
    leg = Leg(
        LegState.WAITING if waits else LegState.FINAL, message_class, hop, (status,),
        give_up_ms=head.give_up_ms, fence=2, attempts=1, application=application,
        due_ms=now_ms + HOUR_MS + rng.randrange(HOUR_MS) if waits else 0,
        history=(Attempt(tried_ms, hop, (reply,)),),
    )  # fmt: skip
    return Made(identifier, head, leg, tried_ms)


def fill(url: str, now_ms: int, *, deferred: int, finished: int, hours: float = 20.0) -> None:
    """Write so many messages, accepted over the last hours, to a store that has nothing else.

    Deferred ones are due in one to two hours; of the others one in ten has bounced.
    """
    redis = SyncRedis(url, timeout_seconds=60, connections=1)
    content, _ = pack_content(Content("Thank you.\n" * 40))
    numbers: Counter[tuple[str, str]] = Counter()
    for some in _chunks(now_ms, deferred, finished, hours):
        redis.commands([*_commands(some, content)])
        _count(some, numbers)
    closing = [("HINCRBY", f"{PREFIX}{key}", field, by) for (key, field), by in numbers.items()]
    redis.commands(closing)
    redis.close()


def _chunks(now_ms: int, deferred: int, finished: int, hours: float) -> Iterator[list[Made]]:
    rng, total = random.Random(17), deferred + finished
    span, left = int(hours * HOUR_MS), deferred
    some: list[Made] = []
    for number in range(total):
        at_ms = now_ms - span + span * number // total
        status = Status.BOUNCED if number % 10 == 0 else Status.DELIVERED
        if rng.randrange(total - number) < left:
            status, left = Status.DEFERRED, left - 1
        some.append(made(number, at_ms, now_ms, status, rng))
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def write(url: str, some: Sequence[Made], content: Content) -> None:
    """Write these messages, the oldest first; those that are not finished have this content."""
    redis = SyncRedis(url, timeout_seconds=60, connections=1)
    packed, _ = pack_content(content)
    numbers: Counter[tuple[str, str]] = Counter()
    _count(some, numbers)
    closing = [("HINCRBY", f"{PREFIX}{key}", field, by) for (key, field), by in numbers.items()]
    redis.commands([*_commands(some, packed), *closing])
    redis.close()


def _commands(some: Sequence[Made], content: bytes) -> Iterator[Sequence[Value]]:
    hashes: dict[str, list[Value]] = defaultdict(list)
    sets: dict[str, list[Value]] = defaultdict(list)
    finished: list[Value] = []
    for each in some:
        bucket, leg, identifier = each.id[15], each.leg, leg_id(each.id, 0)
        hashes[f"head:{bucket}"] += (each.id, pack_head(each.head))
        hashes[f"leg:{bucket}"] += (identifier, pack_leg(leg))
        index = CLASSES.index(leg.message_class)
        if leg.state is LegState.WAITING:
            hashes[f"body:{bucket}"] += (each.id, content)
            sets[f"deferred:{index}"] += (leg.due_ms, identifier)
            sets[f"waiting:{index}:{leg.hop}"] += (each.head.accepted_ms, identifier)
        elif leg.state in _ASIDE:
            hashes[f"body:{bucket}"] += (each.id, content)
            sets[_ASIDE[leg.state]] += (each.ended_ms, identifier)
        else:
            finished.append(each.id + _ENDED.pack(each.ended_ms))
    for key, flat in hashes.items():
        yield ("HSET", f"{PREFIX}{key}", *flat)
    for key, flat in sets.items():
        yield ("ZADD", f"{PREFIX}{key}", *flat)
    yield ("RPUSH", f"{PREFIX}recent", *(each.id for each in some))
    if finished:
        yield ("RPUSH", f"{PREFIX}finished", *finished)


def _count(some: Sequence[Made], numbers: Counter[tuple[str, str]]) -> None:
    for each in some:
        leg = each.leg
        index = CLASSES.index(leg.message_class)
        numbers["counters", f"a:{index}"] += len(leg.statuses)
        for status in leg.statuses:
            _count_one(each, index, status, numbers)
        if leg.state is LegState.WAITING:
            numbers["waiting", f"{index}{leg.hop}"] += 1


def _count_one(each: Made, index: int, status: Status, numbers: Counter[tuple[str, str]]) -> None:
    message_class = each.leg.message_class
    numbers["counters", f"s:{index}:{status.letter}"] += 1
    attempt = attempt_counter(message_class, status.letter, _category(status))
    numbers["counters", attempt] += 1
    if status is Status.DELIVERED or status is Status.BOUNCED:
        what = "delivered" if status is Status.DELIVERED else "bounced"
        counter = outcome_counter(each.head.application, "other", what)
        field = outcome_field(message_class, counter)
        numbers["outcomes", field] += 1
        numbers[f"outcomes:{each.ended_ms // DAY_MS}", field] += 1


def _category(status: Status) -> str:
    return {Status.BOUNCED: "mailbox_unknown", Status.DEFERRED: "greylisted"}.get(status, "none")


def uuid7(at_ms: int) -> bytes:
    """A new id of a message accepted at this time."""
    rest = bytearray(os.urandom(10))
    rest[0] = 0x70 | (rest[0] & 0x0F)
    rest[2] = 0x80 | (rest[2] & 0x3F)
    return at_ms.to_bytes(6, "big") + bytes(rest)
