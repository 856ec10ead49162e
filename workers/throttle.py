"""Whether a server has asked for less: which rule of shaping one of its replies matches.

A reply at the greeting, to MAIL or to the message is about the sender; one to RCPT may be about the
recipient alone, which `shared.shaping.rules` tells apart. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shared.model.status import Status
from shared.shaping.rules import Rule, Rules
from workers.classify import Verdict
from workers.smtp.types import Reply, Transaction


class Throttle(msgspec.Struct, frozen=True):
    """A server has asked for less."""

    rule: Rule
    reply: Reply

    @property
    def note(self) -> str:
        """For people: what was said, without the text, which may name somebody."""
        said = f"{self.reply.code} {self.reply.enhanced}".rstrip()
        return f"asked for less: {said} (rule {self.rule.name})"

    def is_all_of(self, verdict: Verdict) -> bool:
        """Whether nothing else has become of any recipient, and the site stands still for it: so
        the message may wait for its end, and is charged nothing."""
        said = (self.reply.code, self.reply.enhanced)
        return self.suspend_ms > 0 and all(
            reply.status == Status.DEFERRED.letter and (reply.code, reply.enhanced) == said
            for reply in verdict.replies
        )

    @property
    def suspend_ms(self) -> int:
        """How long nothing is sent there; 0: that goes on."""
        return int(self.rule.suspend_seconds * 1000)


def asked_for_less(transaction: Transaction, rules: Rules, provider: str) -> Throttle | None:
    """The first rule that a reply of the transaction matches; None: it asks for nothing."""
    for reply, at_rcpt in _replies(transaction):
        if reply.code // 100 in (4, 5):
            rule = rules.find(
                reply.code, reply.enhanced, reply.text, at_rcpt=at_rcpt, provider=provider
            )
            if rule is not None:
                return Throttle(rule, reply)
    return None


def _replies(transaction: Transaction) -> Iterator[tuple[Reply, bool]]:
    for reply in (transaction.trouble_reply, transaction.mail, transaction.data):
        if reply is not None:
            yield reply, False
    for reply in transaction.recipients.values():
        yield reply, True
