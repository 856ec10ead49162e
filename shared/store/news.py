"""Late news as the store has it: what is remembered of it, and what it counts as. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from shared.model.leg import LATE_BOUNCE, Attempt, RecipientReply
from shared.model.status import Status
from shared.store.outcomes import What, outcome_counter, outcome_field
from shared.store.returns import News, NewsKind

WEEK_MS = 604_800_000
"""What was told is remembered in a hash for each week, which expires whole."""

_WHATS: dict[NewsKind, What] = {
    "bounced": "bounced_late",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}


def digest_of(news: News) -> bytes:
    """What is the same in news that is told twice, and in no other."""
    kind = news.kind[:1].encode()
    if news.kind != "unsubscribed":
        return kind + news.message_id + news.mark
    places = sorted((each.application, each.list, each.address) for each in news.suppressions)
    of = msgspec.msgpack.encode((news.application, places))
    return kind + hashlib.blake2b(of, digest_size=16).digest()


def field_of(news: News) -> str:
    """The field of the figures that it counts in."""
    counter = outcome_counter(news.application, news.site, _WHATS[news.kind])
    return outcome_field(news.message_class, counter)


def late_bounce(
    at_ms: int, via: str, recipient: int, code: int, enhanced: str, text: str
) -> Attempt:
    """What is added to a leg's history when its mail came back.

    `via` is who says so, the reporting server (empty: not known); `text` its words, of which 200
    characters are kept. It is no attempt of ours, and counts as none.
    """
    reply = RecipientReply(recipient, Status.BOUNCED.letter, code, enhanced, _shown(text, 200))
    return Attempt(at_ms, _shown(via, 100) or "unknown", (reply,), LATE_BOUNCE, charged=False)


def _shown(text: str, most: int) -> str:
    """So many characters, without what could move a terminal's cursor or cannot be written."""
    cut = text[:most].encode(errors="replace").decode()
    return "".join(char if char.isprintable() else " " for char in cut)
