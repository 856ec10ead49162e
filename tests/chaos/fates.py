"""What comes back about a recipient's copy, or stands in its way: from the seed and address. Pure.

Both sides ask here: the receiver, which reports bounces and complaints, and the run, which puts
entries on the suppression list. One recipient has one fate, so that the accounts can tell whose
doing an end was.
"""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from shared.model.message import MessageClass
from shared.model.suppression import Reason

LIST = "news"
APPLICATION = "default"
"""Whose the key of a home is."""
BOUNCES_DOMAIN = "bounces.chaos.test"
LINKS = "https://links.chaos.test"

Kind = Literal[
    "nothing", "dead", "refused", "delayed", "complaint", "unsubscribed", "before", "meanwhile"
]
"""A DSN about a dead address; one about policy, which suppresses nobody; one that says "still
trying"; a complaint; a click; an entry of the list from before the load; one from amid it."""
REPORTED = frozenset[Kind]({"dead", "refused", "delayed", "complaint", "unsubscribed"})
"""What the receiver does."""
BOUNCES = frozenset[Kind]({"dead", "refused"})
LISTED = frozenset[Kind]({"before", "meanwhile"})
"""What the run does."""

_SHARES: dict[Kind, int] = {
    "nothing": 72, "dead": 6, "refused": 4, "delayed": 2, "complaint": 5, "unsubscribed": 0,
    "before": 5, "meanwhile": 6,
}  # fmt: skip
_SHARES_OF_LISTS: dict[Kind, int] = {**_SHARES, "nothing": 47, "unsubscribed": 25}

_ENTRIES: tuple[tuple[Reason, str, str], ...] = (
    ("manual", APPLICATION, ""),
    ("bounce", APPLICATION, ""),
    ("complaint", APPLICATION, ""),
    ("unsubscribe", APPLICATION, ""),
    ("manual", "*", ""),
    ("manual", APPLICATION, LIST),
    ("unsubscribe", APPLICATION, LIST),
    ("manual", APPLICATION, "another"),
)
_SPARED = ("complaint", "unsubscribe")


class Entry(msgspec.Struct, frozen=True):
    """An entry of the suppression list, by what is said of it."""

    address: str
    application: str
    list: str
    reason: Reason


def fate(seed: int, recipient: str, in_list: bool) -> Kind:
    """What becomes of a recipient's copy; `in_list`: his message belongs to `LIST`."""
    shares = _SHARES_OF_LISTS if in_list else _SHARES
    chance = random.Random(f"{seed}/fate/{recipient}")
    return chance.choices(list(shares), list(shares.values()))[0]


def entry(seed: int, recipient: str) -> Entry:
    """What the run puts on the list about a recipient whose fate that is."""
    reason, application, list_name = random.Random(f"{seed}/entry/{recipient}").choice(_ENTRIES)
    return Entry(recipient, application, list_name, reason)


def stands_in_the_way(found: Entry, message_class: MessageClass, list_name: str) -> bool:
    """Whether a message with this class and list must not go to the entry's address."""
    if message_class == "critical" and found.reason in _SPARED:
        return False
    return found.list in ("", list_name)
