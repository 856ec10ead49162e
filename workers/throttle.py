"""Whether a server has asked for less: which rules of shaping its replies match.

A reply at the greeting, to MAIL or to the message is about the sender; one to RCPT may be about the
recipient alone, which `shared.shaping.rules` tells apart. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.model.leg import RecipientReply
from shared.model.status import Status
from shared.shaping.rules import ASKED_FOR_LESS, Rule, Rules
from workers.classify import Verdict
from workers.smtp.types import Reply, Transaction

MOST_ASKED = 10
"""Different replies of one transaction that rules are asked about: each may take them a while."""
_DEFERRED = Status.DEFERRED.letter

Refusal = tuple[Reply, bool]
"""A reply, and whether it answered RCPT."""


class Throttle(msgspec.Struct, frozen=True):
    """A server has asked for less."""

    rule: Rule
    reply: Reply
    said: frozenset[tuple[int, str]]
    """Code and enhanced code of this reply and all others of the transaction that rules match."""
    other: frozenset[Reply]
    """Those that none matches: with the same codes, they may be about a recipient alone."""

    @property
    def note(self) -> str:
        """For people: what was said, without the text, which may name somebody."""
        said = f"{self.reply.code} {self.reply.enhanced}".rstrip()
        return f"{ASKED_FOR_LESS}: {said} (rule {self.rule.name})"

    def spares(self, verdict: Verdict) -> frozenset[int]:
        """Recipients who may wait for the end of the pause and are charged nothing: all that was
        said of them, if anything, is what it stands still for. None, where that goes on."""
        if not self.suspend_ms:
            return frozenset()
        deferred = (each for each in verdict.replies if each.status == _DEFERRED)
        return frozenset(each.recipient for each in deferred if self._is_why(each))

    def _is_why(self, reply: RecipientReply) -> bool:
        if (reply.code, reply.enhanced) not in self.said:
            return not reply.code
        return Reply(reply.code, reply.enhanced, reply.text) not in self.other

    @property
    def suspend_ms(self) -> int:
        """How long nothing is sent there; 0: that goes on."""
        return int(self.rule.suspend_seconds * 1000)


def refusals(transaction: Transaction) -> list[Refusal]:
    """The replies that refuse something, each once, as many as rules are asked about."""
    found: dict[Refusal, None] = {}
    for reply in (transaction.trouble_reply, transaction.mail, transaction.data):
        if reply is not None and reply.code // 100 in (4, 5):
            found[reply, False] = None
    for reply in transaction.recipients.values():
        if reply.code // 100 in (4, 5) and len(found) < MOST_ASKED:
            found[reply, True] = None
    return list(found)


def asked_for_less(refused: Sequence[Refusal], rules: Rules, provider: str) -> Throttle | None:
    """The rule that a reply matches, of several the one that suspends longest; None: it asks for
    nothing."""
    found: list[tuple[Rule, Reply]] = []
    other = []
    for reply, at_rcpt in refused:
        rule = rules.find(
            reply.code, reply.enhanced, reply.text, at_rcpt=at_rcpt, provider=provider
        )
        if rule is not None:
            found.append((rule, reply))
        else:
            other.append(reply)
    if not found:
        return None
    rule, reply = max(found, key=lambda each: each[0].suspend_seconds)
    said = frozenset((each.code, each.enhanced) for _, each in found)
    return Throttle(rule, reply, said, frozenset(other))
