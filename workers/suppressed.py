"""Recipients who are on the suppression list when their mail is about to start.

They are told apart in a claimed leg (`Claimed.suppressed`): nothing is sent to them, their status
is final, and the attempt that says why charges nobody. The others of the leg go on. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from shared.model.leg import RecipientReply
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store.ports import Claimed
from workers.classify import KEPT_TEXT

NOTE = "suppressed"
"""Of the attempt that was none."""


def all_are(claimed: Claimed) -> bool:
    """Whether nobody is left to send to."""
    suppressed = claimed.suppressed
    return bool(suppressed) and all(index in suppressed for index in claimed.leg.open_indices())


def without(claimed: Claimed) -> Claimed:
    """The leg with nobody open in it who is suppressed."""
    if not claimed.suppressed:
        return claimed
    leg = claimed.leg
    statuses = tuple(
        Status.SUPPRESSED if index in claimed.suppressed else status
        for index, status in zip(leg.indices(), leg.statuses, strict=True)
    )
    return msgspec.structs.replace(claimed, leg=msgspec.structs.replace(leg, statuses=statuses))


def replies(claimed: Claimed) -> tuple[RecipientReply, ...]:
    """What is told of them, in place of a server's reply."""
    if not claimed.suppressed:  # As a rule.
        return ()
    return tuple(
        RecipientReply(index, Status.SUPPRESSED.letter, text=told(entry))
        for index, entry in claimed.suppressed.items()
    )


def told(entry: Suppression) -> str:
    """Why, in words: `on the suppression list: complaint, since 2026-11-20 (arf)`."""
    text = f"on the suppression list: {entry.reason}"
    if entry.list:
        text += f" from {entry.list}"
    if entry.at_ms:
        text += f", since {datetime.fromtimestamp(entry.at_ms / 1000, UTC):%Y-%m-%d}"
    if entry.source:
        text += f" ({entry.source})"
    return text[:KEPT_TEXT]
