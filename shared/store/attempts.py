"""The counters of attempts: one for each class, outcome and category, named in the store's hash.

A worker names them in `Settlement.counted`, so that they are committed with the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from shared.model.message import CLASSES, MessageClass

_MARK = "t:"


@cache
def attempt_counter(message_class: MessageClass, letter: str, category: str) -> str:
    """The name of the counter of recipients whose attempt came to this status letter."""
    return f"{_MARK}{CLASSES.index(message_class)}:{letter}:{category}"


def split_attempts(
    counters: Mapping[str, int],
) -> tuple[dict[tuple[str, str, str], int], dict[str, int]]:
    """Counters as (class, status letter, category) -> recipients, and all others by name."""
    attempts: dict[tuple[str, str, str], int] = {}
    rest: dict[str, int] = {}
    for name, count in counters.items():
        if name.startswith(_MARK):
            _, index, letter, category = name.split(":", 3)
            attempts[CLASSES[int(index)], letter, category] = count
        else:
            rest[name] = count
    return attempts, rest
