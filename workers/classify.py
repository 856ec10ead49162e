"""From a transaction to what became of each recipient. The only file that reads reply codes.

Decides by the first digit of the replies to MAIL, RCPT and the message (RFC 5321 section 4.2.1).
Trouble before the server has answered MAIL is the relay's: no recipient is charged for it.
"""

from __future__ import annotations

import re

import msgspec

from shared.model.leg import RecipientReply
from shared.model.status import Status
from workers.smtp.types import Reply, Transaction

_DELIVERED = Status.DELIVERED.letter
_DEFERRED = Status.DEFERRED.letter
_BOUNCED = Status.BOUNCED.letter
_UNCERTAIN = Status.UNCERTAIN.letter

_BAD_SEQUENCE = 503
_SIGN_IN_REFUSED = frozenset({530, 535})
_NOT_FOR_US = re.compile(
    r"""
    \brelay(?:ing)?\b [^.;]{0,40}? \b(?:denied|prohibited|refused|rejected|disabled
        | not\ (?:permitted|allowed|authori[sz]ed|enabled|supported))\b
    | \b(?:unable\ to | cannot | can't | (?:do|does|will|can)\ not | (?:don|won|doesn)'t)\ relay\b
    | \bnot\ (?:permitted|allowed|authori[sz]ed)\ to\ relay\b
    | \bno\ relay(?:ing)?\b
    | \bauthentication\ (?:is\ )?required\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What Sendmail, Postfix, Exim, Exchange, qmail and hosted relays say to a client that they do not
know, or that has not signed in."""
KEPT_TEXT = 200
"""Characters of a reply that are kept as evidence."""
_FULL = frozenset({"5.2.2", "5.3.4"})
_DOMAINS = re.compile(r"\bmultiple destination domains\b", re.IGNORECASE)
"""Google takes the recipients of one domain in a transaction."""
_MANY = re.compile(
    r"\btoo many\b.{0,20}\b(?:recipients?|rcpts?|addresses)\b"
    r"(?!.{0,30}\b(?:second|minute|hour|day)s?\b)",  # Who counts by time has room for no more.
    re.IGNORECASE,
)


class Verdict(msgspec.Struct, frozen=True):
    """What one attempt came to."""

    replies: tuple[RecipientReply, ...]
    """One for each recipient that was tried. With `relay_trouble` they charge nobody."""
    relay_trouble: bool
    note: str = ""
    bytes_sent: int = 0
    """Of the message, when the final dot may have been sent and nobody has answered."""
    said: Reply | None = None
    """With `relay_trouble`: the reply that it was; None: there was none."""
    own_commands: bool = False
    """With `relay_trouble`: the relay objected to this very envelope, in a session that works."""
    denied: frozenset[int] = frozenset()
    """Recipients that the relay would not relay to, while it has taken the message for others."""
    left_over: frozenset[int] = frozenset()
    """Recipients that were too many for this transaction: they go on in the next one."""
    throttled: frozenset[int] = frozenset()
    """Recipients whom the server would take later, whoever they are: it stands still for that."""


def outcomes(
    transaction: Transaction, indices: tuple[int, ...], *, direct: bool = False
) -> Verdict:
    """The outcome of each recipient in `indices`, with the reply it rests on.

    `direct`: it was one of the domain's own hosts, where "relaying denied" is about the recipient.
    """
    if transaction.trouble_reply is not None or (transaction.trouble and transaction.mail is None):
        note = _session_trouble(transaction)
        return Verdict((), True, note, said=transaction.trouble_reply)
    denial = None if direct else _denial(transaction)
    if denial is not None:
        replies = tuple(_evidence(index, _DEFERRED, denial) for index in indices)
        note = f"refused to relay: {denial.code} {denial.enhanced}".rstrip()
        own = denial.code not in _SIGN_IN_REFUSED
        return Verdict(replies, True, note, said=denial, own_commands=own)
    by = f"by {transaction.place}" if transaction.place else ""
    note = "; ".join(filter(None, (transaction.trouble, transaction.protection, by)))
    unknown = transaction.dot_sent and transaction.data is None
    replies = tuple([_outcome(transaction, index, direct) for index in indices])
    bytes_sent = transaction.bytes_sent if unknown else 0
    if not _refuses_somebody(transaction):  # As a rule.
        return Verdict(replies, False, note, bytes_sent)
    told = () if direct else transaction.recipients.items()
    return Verdict(
        replies,
        False,
        note,
        bytes_sent,
        denied=frozenset(index for index, reply in told if _refuses_to_relay(reply)),
        left_over=_left_over(transaction),
    )


def _refuses_somebody(transaction: Transaction) -> bool:
    for reply in transaction.recipients.values():  # noqa: SIM110  # A quarter of what `any` takes.
        if reply.code // 100 != 2:
            return True
    return False


def room_for(transaction: Transaction) -> int:
    """How many recipients the server took before it had too many; 0: it has not."""
    replies = transaction.recipients.values()
    if any(_too_many(reply) and not _names_domains(reply) for reply in replies):
        return sum(reply.code // 100 == 2 for reply in replies)
    return 0


def takes_one_domain(transaction: Transaction) -> bool:
    """Whether the server has refused recipients for their domain beside that of others."""
    return any(_names_domains(reply) for reply in transaction.recipients.values())


def _names_domains(reply: Reply) -> bool:
    return reply.code // 100 == 4 and _DOMAINS.search(reply.text) is not None


def _left_over(transaction: Transaction) -> frozenset[int]:
    """Those that it had no room for beside others (RFC 5321 section 4.5.3.1.10)."""
    data = transaction.data
    if data is None or data.code // 100 != 2 or not transaction.dot_sent:
        return frozenset()  # Nobody has got it: the next transaction would come to the same.
    replies = transaction.recipients.items()
    return frozenset(index for index, reply in replies if _too_many(reply))


def _too_many(reply: Reply) -> bool:
    """452 is also what a server without room says, in the message's or the mailbox's name."""
    if _names_domains(reply):
        return True
    if reply.code not in (452, 552) or reply.enhanced:
        return reply.enhanced == "4.5.3" or (reply.code, reply.enhanced) == (552, "5.5.3")
    return _MANY.search(reply.text) is not None


def _session_trouble(transaction: Transaction) -> str:
    """Why no session came about, or why it broke before the server had answered MAIL."""
    stage, reply = transaction.stage.name.lower(), transaction.trouble_reply
    if reply is not None:
        return f"{stage}: {reply.code} {reply.enhanced}".rstrip()
    return f"{stage}: {transaction.trouble}"


def _denial(transaction: Transaction) -> Reply | None:
    """The reply that says that the relay does not know us; None when there is none."""
    answers = [transaction.mail, transaction.data, *transaction.recipients.values()]
    if transaction.dot_sent:  # Somebody may have got it: only a refusal of all of it says more.
        answers = [transaction.data]
    for answer in answers:
        if answer is not None and _refuses_to_relay(answer):
            return answer
    return None


def _refuses_to_relay(reply: Reply) -> bool:
    if reply.code in _SIGN_IN_REFUSED:
        return True
    return reply.code // 100 in (4, 5) and _NOT_FOR_US.search(reply.text) is not None


def _outcome(transaction: Transaction, index: int, direct: bool) -> RecipientReply:
    recipient = transaction.recipients.get(index)
    if recipient is not None and recipient.code // 100 != 2:
        return _evidence(index, _refused_recipient(recipient, direct), recipient)
    mail = transaction.mail
    if mail is not None and mail.code // 100 != 2:
        # Where the session broke after it, it may have been the answer to something else.
        return _evidence(index, _DEFERRED if transaction.trouble else _by_digit(mail), mail)
    if transaction.data is not None:
        if transaction.data.code // 100 == 2 and transaction.dot_sent:
            return _evidence(index, _DELIVERED, transaction.data)
        return _evidence(index, _by_digit(transaction.data), transaction.data)
    if not transaction.dot_sent:
        return RecipientReply(index, _DEFERRED)
    if recipient is None:
        return RecipientReply(index, _UNCERTAIN)
    return _evidence(index, _UNCERTAIN, recipient)  # The last that was heard of it.


def _by_digit(reply: Reply) -> str:
    """5yz is for good; everything else, what nobody knows too, may change.

    503 is about the sequence of commands: it says nothing about the message or a recipient.
    """
    return _BOUNCED if reply.code // 100 == 5 and reply.code != _BAD_SEQUENCE else _DEFERRED


def _refused_recipient(reply: Reply, direct: bool) -> str:
    # That the relay does not know us says nothing about the recipient, where it has taken others.
    if not direct and _refuses_to_relay(reply):
        return _DEFERRED
    # RFC 5321 section 4.5.3.1.10: 552 to RCPT has long meant "too many", which is temporary.
    if reply.code == 552 and reply.enhanced not in _FULL:
        return _DEFERRED
    return _by_digit(reply)


def _evidence(index: int, status: str, reply: Reply) -> RecipientReply:
    return RecipientReply(index, status, reply.code, reply.enhanced, reply.text[:KEPT_TEXT])


_SUBJECTS = {
    "1": "addressing",
    "2": "mailbox",
    "3": "system",
    "4": "network",
    "5": "protocol",
    "6": "content",
    "7": "security",
}


def category(reply: RecipientReply) -> str:
    """What a refusal is about: the subject of its enhanced code (RFC 3463 section 3).

    `none` for what was delivered, `connection` where there was no reply.
    """
    if reply.status == _DELIVERED:
        return "none"
    if not reply.code:
        return "connection"
    return _SUBJECTS.get(reply.enhanced[2:3], "other")
