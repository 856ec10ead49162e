"""What is told of an attempt's reply that is kept: what it means by the tables as they are now.

Nothing of it is stored. The provider is known by the one host in a site's name, and the text by
what is kept of it, so that a long reply may have been read otherwise when it came.
"""

from __future__ import annotations

from typing import Any

from shared.classification.classification import Classification
from shared.hops import member_of, mx_hop
from shared.model.leg import RecipientReply
from shared.model.status import Status
from shared.settings import Settings
from shared.shaping.shaping import Shaping

_REFUSED = frozenset({Status.BOUNCED.letter, Status.DEFERRED.letter})


class Told:
    """Built once a process, or for one command."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError`, as `Shaping` does."""
        self._classification = Classification(settings)
        self._sites = Shaping(settings)

    def of(self, hop: str, reply: RecipientReply | None) -> dict[str, Any]:
        """`category`, and whether it `suppresses`; None where nothing was refused."""
        if reply is None or reply.status not in _REFUSED or reply.code // 100 not in (4, 5):
            return {"category": None, "suppresses": None}
        meaning = self._classification.of(
            reply.code, reply.enhanced, reply.text, provider=self._provider(hop)
        )
        dead = meaning.suppresses and reply.status == Status.BOUNCED.letter
        return {"category": meaning.category, "suppresses": dead}

    def _provider(self, hop: str) -> str:
        direct = mx_hop(member_of(hop))
        if direct is None:
            return ""
        return self._sites.of_site([direct.site.partition("~")[0]]).provider
