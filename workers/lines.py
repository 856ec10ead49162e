"""What a worker's log says of a message: its ids in every line, and one line for every attempt.

A delivered one is told at level debug. The server's reply is hostile text: bounded, escaped, its
addresses hashed, and without the words of the message that we can know it by.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import structlog

from shared.hops import member_of
from shared.ids import external
from shared.log_text import Cleaner, Hostile
from shared.model.leg import RecipientReply, message_of
from shared.model.message import Head
from shared.model.status import Status
from shared.store.ports import Claimed
from workers.classify import Verdict
from workers.smtp.types import Reply

MOST_RECIPIENTS = 10
"""Named in one line; `outcomes` counts all."""
LEAST_NAME = 3
LEAST_WORD = 5
"""Shorter ones are no trace of anybody, and would take too much out of a reply."""
MOST_WORDS = 40
MOST_REFUSAL = 120
"""Characters of a destination's last refusal."""

_STATUS = {status.letter: status.value for status in Status}
_DELIVERED = Status.DELIVERED.letter

_CLEANER = Cleaner("off", b"")
_log = structlog.get_logger(__name__)


def about(leg_id: bytes, head: Head | None) -> dict[str, str]:
    """The ids of a leg, for a line that concerns it; with its head its request's, too."""
    ids = {"message_id": external(message_of(leg_id)), "leg": leg_id.hex()}
    if head is not None and head.request_id:
        ids["request_id"] = head.request_id
    return ids


def attempt(claimed: Claimed, verdict: Verdict, number: int, retry_ms: int) -> None:
    """The line of an attempt that has come to something, and one of those who are sent nothing."""
    if claimed.suppressed:
        _suppressed(claimed)
    if not verdict.replies:
        return
    troubled = [reply for reply in verdict.replies if reply.status != _DELIVERED]
    tell = _log.info if troubled else _log.debug
    if not troubled and not _log.is_enabled_for(logging.DEBUG):
        return
    told = troubled or verdict.replies
    people = claimed.head.recipients
    first = told[0] if told else RecipientReply(0, _DELIVERED)
    tell(
        "attempt",
        **about(claimed.leg_id, claimed.head),
        hop=member_of(claimed.leg.hop),
        message_class=claimed.head.message_class,
        attempt=number,
        outcomes=Counter(_STATUS[reply.status] for reply in verdict.replies),
        recipients=[people[reply.recipient].email for reply in told[:MOST_RECIPIENTS]],
        code=first.code,
        enhanced_code=first.enhanced,
        reply=Hostile(first.text, _private(claimed, [each.recipient for each in told])),
        note=verdict.note,
        **({"retry_seconds": round(retry_ms / 1000, 1)} if retry_ms else {}),
    )


def _suppressed(claimed: Claimed) -> None:
    people = claimed.head.recipients
    _log.info(
        "recipients_suppressed",
        **about(claimed.leg_id, claimed.head),
        recipients=[people[index].email for index in list(claimed.suppressed)[:MOST_RECIPIENTS]],
        outcomes=Counter(entry.reason for entry in claimed.suppressed.values()),
    )


def refusal(claimed: Claimed, verdict: Verdict) -> str:
    """What the server said to the first recipient it did not take, for operators who look at its
    destination: without addresses, and as bounded as in the log. Empty: it said nothing such."""
    refused = [each for each in verdict.replies if each.code and each.status != _DELIVERED]
    if not refused or refused[0].code // 100 not in (4, 5):
        return ""
    return words(claimed, verdict, refused[0])


def words(claimed: Claimed, verdict: Verdict, said: Reply | RecipientReply) -> str:
    """A reply for operators, in one line: code, enhanced code, and the text without what is
    anybody's: first of those to whom it was said, whose name it may hold."""
    his = [each.recipient for each in verdict.replies if said.text.startswith(each.text)]
    private = _private(claimed, list(dict.fromkeys([*his, *claimed.leg.indices()])))
    text = _CLEANER.text(said.text, MOST_REFUSAL, private)
    return " ".join(filter(None, (str(said.code), said.enhanced, text)))


def _private(claimed: Claimed, told: Sequence[int]) -> tuple[str, ...]:
    """Words that a reply must not repeat: who it went to, from whom, about what."""
    head = claimed.head
    addresses = [head.sender.email, head.return_path]
    names = [head.sender.name, head.subject]
    for index in told[:MOST_RECIPIENTS]:
        addresses.append(head.recipients[index].email)
        names.append(head.recipients[index].name)
    words = [*names, *(address.rpartition("@")[0] for address in addresses)]
    for name in names:
        words += [word for word in name.split() if len(word) >= LEAST_WORD]
    found = {word for word in words if len(word) >= LEAST_NAME}
    return tuple(sorted(found, key=len, reverse=True)[:MOST_WORDS])
