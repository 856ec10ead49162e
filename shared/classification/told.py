"""What is told of an attempt's reply that is kept: what it means by the tables as they are now.

Nothing of it is stored. The provider is known by the one host in a site's name, and the text by
what is kept of it, so that a long reply may have been read otherwise when it came.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import msgspec

from shared.classification.classification import Classification
from shared.classification.meaning import Meaning
from shared.hops import member_of, mx_hop
from shared.model.leg import RecipientReply
from shared.model.status import Status
from shared.settings import Settings
from shared.shaping.shaping import Shaping

_REFUSED = frozenset({Status.BOUNCED.letter, Status.DEFERRED.letter})


MOST_REMEMBERED = 4096
"""Replies whose meaning `Explained` remembers."""


class Meanings(Protocol):
    """What replies mean, as it is told."""

    def of(self, hop: str, reply: RecipientReply | None) -> dict[str, Any]:
        """Members of an attempt."""
        ...


class Told:
    """Built once a process, or for one command."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError`, as `Shaping` does."""
        self._classification = Classification(settings)
        self._sites = Shaping(settings)

    def of(self, hop: str, reply: RecipientReply | None) -> dict[str, Any]:
        """`category`, and whether it `suppresses`; None where nothing was refused."""
        return _told(self.meaning(hop, reply), reply)

    def meaning(self, hop: str, reply: RecipientReply | None) -> Meaning | None:
        """What a refusal means; None where nothing was refused."""
        if reply is None or reply.status not in _REFUSED or reply.code // 100 not in (4, 5):
            return None
        return self._classification.of(
            reply.code, reply.enhanced, reply.text, provider=self._provider(hop)
        )

    def _provider(self, hop: str) -> str:
        direct = mx_hop(member_of(hop))
        if direct is None:
            return ""
        return self._sites.of_site([direct.site.partition("~")[0]]).provider


class Explained:
    """The same with the `scope`, for people; of replies that are alike it is worked out once."""

    def __init__(self, told: Told) -> None:
        self._meaning = lru_cache(maxsize=MOST_REMEMBERED)(told.meaning)

    def of(self, hop: str, reply: RecipientReply | None) -> dict[str, Any]:
        """`category`, `suppresses` and `scope`; None where nothing was refused."""
        alike = None if reply is None else msgspec.structs.replace(reply, recipient=0)
        meaning = self._meaning(hop, alike)
        return {**_told(meaning, reply), "scope": meaning.scope if meaning else None}


def _told(meaning: Meaning | None, reply: RecipientReply | None) -> dict[str, Any]:
    if meaning is None or reply is None:
        return {"category": None, "suppresses": None}
    dead = meaning.suppresses and reply.status == Status.BOUNCED.letter
    return {"category": meaning.category, "suppresses": dead}
