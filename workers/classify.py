"""From a transaction to what became of each recipient. The only file that reads reply codes.

Decides by the first digit of the replies to MAIL, RCPT and the message (RFC 5321 section 4.2.1).
Trouble before the server has answered MAIL is the relay's: no recipient is charged for it.
"""

from __future__ import annotations

import msgspec

from shared.model.leg import RecipientReply
from shared.model.status import Status
from workers.smtp.types import Reply, Transaction

_DELIVERED = Status.DELIVERED.letter
_DEFERRED = Status.DEFERRED.letter
_BOUNCED = Status.BOUNCED.letter
_UNCERTAIN = Status.UNCERTAIN.letter

_SIGN_IN_REFUSED = frozenset({530, 535})
_FULL = frozenset({"5.2.2", "5.3.4"})


class Verdict(msgspec.Struct, frozen=True):
    """What one attempt came to."""

    replies: tuple[RecipientReply, ...]
    """One for each recipient that was tried; none when it was the relay's trouble."""
    relay_trouble: bool
    note: str = ""


def outcomes(transaction: Transaction, indices: tuple[int, ...]) -> Verdict:
    """The outcome of each recipient in `indices`, with the reply it rests on."""
    trouble = _relay_trouble(transaction)
    if trouble:
        return Verdict((), True, trouble)
    note = "; ".join(filter(None, (transaction.trouble, transaction.protection)))
    return Verdict(tuple(_outcome(transaction, index) for index in indices), False, note)


def interrupted(indices: tuple[int, ...]) -> Verdict:
    """The outcome when this process stopped while it waited for the final reply."""
    replies = tuple(RecipientReply(index, _UNCERTAIN) for index in indices)
    return Verdict(replies, False, "stopped while waiting for the final reply")


def _relay_trouble(transaction: Transaction) -> str:
    """Why the relay, and not the message, is to blame; empty when it is not."""
    if transaction.trouble_reply is not None:
        reply = transaction.trouble_reply
        return f"{transaction.stage.name.lower()}: {reply.code} {reply.enhanced}".rstrip()
    if transaction.trouble and transaction.mail is None:
        return f"{transaction.stage.name.lower()}: {transaction.trouble}"
    answers = (transaction.mail, transaction.data, *transaction.recipients.values())
    for answer in answers:
        if answer is not None and (
            answer.code in _SIGN_IN_REFUSED or "relaying denied" in answer.text.lower()
        ):
            return f"refused to relay: {answer.code} {answer.enhanced}".rstrip()
    return ""


def _outcome(transaction: Transaction, index: int) -> RecipientReply:
    recipient = transaction.recipients.get(index)
    if recipient is not None and recipient.code // 100 != 2:
        return _evidence(index, _refused_recipient(recipient), recipient)
    mail = transaction.mail
    if mail is not None and mail.code // 100 != 2:
        return _evidence(index, _by_digit(mail), mail)
    if transaction.data is not None:
        if transaction.data.code // 100 == 2 and transaction.dot_sent:
            return _evidence(index, _DELIVERED, transaction.data)
        return _evidence(index, _by_digit(transaction.data), transaction.data)
    return RecipientReply(index, _UNCERTAIN if transaction.dot_sent else _DEFERRED)


def _by_digit(reply: Reply) -> str:
    """5yz is for good; everything else, what nobody knows too, may change."""
    return _BOUNCED if reply.code // 100 == 5 else _DEFERRED


def _refused_recipient(reply: Reply) -> str:
    # 503 is about the sequence of commands: it says nothing about the recipient.
    if reply.code == 503:
        return _DEFERRED
    # RFC 5321 section 4.5.3.1.10: 552 to RCPT has long meant "too many", which is temporary.
    if reply.code == 552 and reply.enhanced not in _FULL:
        return _DEFERRED
    return _by_digit(reply)


def _evidence(index: int, status: str, reply: Reply) -> RecipientReply:
    return RecipientReply(index, status, reply.code, reply.enhanced, reply.text)
