"""The mail of a chaos run: from a number and the run's seed to one message. Pure.

Recipients carry the number in their address, the message carries it in a header, so that the
receiver can tell a mixed-up envelope from a right one.
"""

from __future__ import annotations

import base64
import random
from typing import Any

import msgspec

from shared.model.message import CLASSES, MessageClass
from tests.chaos.fates import LIST
from tests.chaos.places import SHARES

HEADER = "X-Chaos-Number"
LARGE_SHARE = 0.03
ATTACHED_SHARE = 0.03
LARGE_BYTES = 100_000
SMALL_BYTES = 700
_RECIPIENTS = (1, 2, 3, 4, 5)
_RECIPIENT_WEIGHTS = (70, 12, 8, 5, 5)
MOST_RECIPIENTS = _RECIPIENTS[-1]
"""And so legs: a message has one for each place that its recipients' mail goes to."""
MIXED_SHARE = 0.3
"""Of the messages whose recipients each have a domain by chance; those of the others share one."""
LIST_SHARE = 0.5
"""Of the messages that may belong to a list: of class bulk, to one recipient."""
_WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=n % 9 + 2)) for n in
          range(2000)]  # fmt: skip


class Mail(msgspec.Struct, frozen=True):
    """One message to send."""

    number: int
    message_class: MessageClass
    recipients: tuple[str, ...]
    key: str
    """Its idempotency key."""
    fields: dict[str, Any]
    """The request, without the key."""
    list: str = ""
    """The list that it belongs to."""


def make(number: int, seed: int) -> Mail:
    """The message with a number; the same every time."""
    chance = random.Random(f"{seed}/{number}")
    count = chance.choices(_RECIPIENTS, _RECIPIENT_WEIGHTS)[0]
    domains = chance.choices(list(SHARES), list(SHARES.values()), k=count)
    if chance.random() >= MIXED_SHARE:
        domains = domains[:1] * count
    recipients = tuple(f"n{number}.r{at}@{domain}" for at, domain in enumerate(domains))
    kind = chance.random()
    size = LARGE_BYTES if kind < LARGE_SHARE else SMALL_BYTES
    fields: dict[str, Any] = {
        "from": "Shop <orders@shop.test>",
        **_split(recipients),
        "subject": f"Your order {number}",
        "text": _text(chance, size),
        "headers": {HEADER: str(number)},
        "class": chance.choice(CLASSES),
    }
    if kind < LARGE_SHARE / 2:
        fields["html"] = f"<p>{fields['text']}</p>"
    elif LARGE_SHARE <= kind < LARGE_SHARE + ATTACHED_SHARE:
        content = base64.b64encode(chance.randbytes(chance.randrange(100, 20_000))).decode()
        fields["attachments"] = [
            {"filename": f"{number}.bin", "content": content, "content_type": "application/x-order"}
        ]
    if fields["class"] == "bulk" and count == 1 and chance.random() < LIST_SHARE:
        fields["list"] = LIST
    return Mail(
        number, fields["class"], recipients, f"chaos-{seed}-{number}", fields,
        fields.get("list", ""),
    )  # fmt: skip


def _split(recipients: tuple[str, ...]) -> dict[str, list[str]]:
    """Three to each field: to, cc, bcc."""
    fields = {"to": recipients[:3], "cc": recipients[3:4], "bcc": recipients[4:]}
    return {name: list(some) for name, some in fields.items() if some}


def _text(chance: random.Random, size: int) -> str:
    words = chance.choices(_WORDS, k=size // 7)
    return "\n".join(" ".join(words[at : at + 10]) for at in range(0, len(words), 10))


def number_of(recipient: str) -> int:
    """The number in a recipient's address. Raises `ValueError` when there is none."""
    return int(recipient.partition(".")[0].removeprefix("n"))


def index_of(recipient: str) -> int:
    """The how manieth recipient of its message it is, from 0."""
    return int(recipient.partition("@")[0].partition(".")[2].removeprefix("r"))
