"""Outcomes by application and site, as the store counts them: names of counters and of fields.

A worker names a counter in `Settlement.counted`, so that it is committed with the outcome. The
store keeps a field for each class, application, site and outcome. Names of applications may hold
what separates the parts of a field, so that is escaped. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from shared.model.message import CLASSES, MessageClass

What = Literal[
    "delivered", "bounced", "expired", "suppressed", "bounced_late", "complained", "unsubscribed"
]
"""What became of a recipient; the last three are told later, of one that was delivered before."""
WHATS: tuple[What, ...] = (
    "delivered",
    "bounced",
    "expired",
    "suppressed",
    "bounced_late",
    "complained",
    "unsubscribed",
)
Outcomes = dict[tuple[str, MessageClass, str, str], int]
"""(application, class, site, what) -> recipients."""

OTHER = "other"
"""In place of a provider's name (`shared.feedback.tokens.OTHER_SITES`)."""
MARK = "o|"
"""Begins the name of a counter that is an outcome."""
MOST_OUTCOMES = 20_000
"""Fields of one hash; what comes beyond counts for no application and other sites."""
KEPT_DAYS = 35

_ESCAPES = {code: f"%{code:02X}" for code in (*range(33), 127, ord("%"), ord("|"))}


def escaped(name: str) -> str:
    """A name in which neither a space nor `|` is left; `lua/prelude.lua` escapes the same."""
    return name.translate(_ESCAPES)


@lru_cache(maxsize=4096)
def outcome_counter(application: str, site: str, what: What) -> str:
    """The counter of an outcome, for `Settlement.counted`; `site` is a provider's name."""
    return f"{MARK}{escaped(application)}|{escaped(site)}|{what}"


def outcome_field(message_class: MessageClass, counter: str) -> str:
    """The field of a counter."""
    return f"{CLASSES.index(message_class)}{counter[1:]}"


def spare_field(field: str) -> str:
    """Where a field counts that there is no room for."""
    return f"{field[0]}||other|{field.rpartition('|')[2]}"


def added(found: Iterable[Mapping[str, int]]) -> Outcomes:
    """The sum of some hashes; fields that are none are passed over."""
    outcomes: Outcomes = {}
    for each in found:
        for field, count in each.items():
            key = _key(field)
            if key is not None:
                outcomes[key] = outcomes.get(key, 0) + count
    return outcomes


def _key(field: str) -> tuple[str, MessageClass, str, str] | None:
    parts = field.split("|")
    if len(parts) != 4 or parts[0] not in _INDICES:
        return None
    return unquote(parts[1]), _INDICES[parts[0]], unquote(parts[2]), parts[3]


_INDICES = {str(index): name for index, name in enumerate(CLASSES)}
