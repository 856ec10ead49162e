"""From a transaction to what became of each recipient.

A reply of 2yz to MAIL, RCPT and the message is taken by its digit (RFC 5321 section 4.2.1); what a
refusal means `shared.classification` says. Trouble before the server has answered MAIL is the
relay's: no recipient is charged for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from shared.classification.classification import Classification
from shared.classification.meaning import Meaning
from shared.model.leg import RecipientReply
from shared.model.status import Status
from shared.settings import Settings
from workers.smtp.types import Reply, Transaction

_DELIVERED = Status.DELIVERED.letter
_DEFERRED = Status.DEFERRED.letter
_BOUNCED = Status.BOUNCED.letter
_UNCERTAIN = Status.UNCERTAIN.letter

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
    meanings: dict[int, Meaning] = {}
    """What the refusals mean that recipients have met, by recipient."""
    dead: frozenset[int] = frozenset()
    """Recipients whose address does not exist, by a reply that was theirs alone."""


class Reader(msgspec.Struct, frozen=True):
    """Who says what refusals mean, and whose they are."""

    classification: Classification
    provider: str = ""
    """The name of shaping's `[site.NAME]`; empty: another site, or a relay."""

    def of(self, reply: Reply | RecipientReply, *, at_rcpt: bool = False) -> Meaning:
        """What a reply means."""
        return self.classification.of(
            reply.code, reply.enhanced, reply.text, provider=self.provider, at_rcpt=at_rcpt
        )


@lru_cache(maxsize=1)
def by_codes() -> Reader:
    """One that knows no texts: codes only."""
    return Reader(Classification(Settings()))


def outcomes(
    transaction: Transaction,
    indices: tuple[int, ...],
    *,
    direct: bool = False,
    reader: Callable[[], Reader] = by_codes,
) -> Verdict:
    """The outcome of each recipient in `indices`, with the reply it rests on.

    `direct`: it was one of the domain's own hosts, where "relaying denied" is about the recipient.
    `reader` is asked for where something was refused; without one, codes alone decide.
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
    meanings = _meanings(transaction, indices, reader()) if _refuses(transaction) else {}
    replies = tuple([_outcome(transaction, index, direct, meanings) for index in indices])
    bytes_sent = transaction.bytes_sent if unknown else 0
    if not meanings:  # As a rule.
        return Verdict(replies, False, note, bytes_sent)
    told = () if direct else transaction.recipients.items()
    return Verdict(
        replies,
        False,
        note,
        bytes_sent,
        denied=frozenset(index for index, reply in told if _refuses_to_relay(reply)),
        left_over=_left_over(transaction),
        meanings=meanings,
        dead=_dead(transaction, replies, meanings),
    )


def _refuses(transaction: Transaction) -> bool:
    """Whether MAIL, a recipient or the message was refused."""
    mail, data = transaction.mail, transaction.data
    if (mail is not None and mail.code // 100 != 2) or (
        data is not None and (data.code // 100 != 2 or not transaction.dot_sent)
    ):
        return True
    return _refuses_somebody(transaction)


def _meanings(
    transaction: Transaction, indices: tuple[int, ...], reader: Reader
) -> dict[int, Meaning]:
    """Of the refusal that decides for each recipient, where one does."""
    found = {}
    for index in indices:
        recipient, mail = transaction.recipients.get(index), transaction.mail
        if recipient is not None and recipient.code // 100 != 2:
            found[index] = reader.of(recipient, at_rcpt=True)
        elif mail is not None and mail.code // 100 != 2:
            found[index] = reader.of(mail)
        elif transaction.data is not None and not (
            transaction.data.code // 100 == 2 and transaction.dot_sent
        ):
            found[index] = reader.of(transaction.data)
    return found


def _dead(
    transaction: Transaction, replies: tuple[RecipientReply, ...], meanings: dict[int, Meaning]
) -> frozenset[int]:
    """Recipients that bounced for good, each by a reply to its own RCPT, or to the message where
    nobody else was to get it: what is said to MAIL or of several is nobody's."""
    taken = sum(reply.code // 100 == 2 for reply in transaction.recipients.values())
    found = []
    for each in replies:
        index = each.recipient
        meaning, own = meanings.get(index), transaction.recipients.get(index)
        if each.status != _BOUNCED or meaning is None or not meaning.suppresses or own is None:
            continue
        if own.code // 100 != 2 or (transaction.data is not None and taken == 1):
            found.append(index)
    return frozenset(found)


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


def _outcome(
    transaction: Transaction, index: int, direct: bool, meanings: dict[int, Meaning]
) -> RecipientReply:
    recipient = transaction.recipients.get(index)
    if recipient is not None and recipient.code // 100 != 2:
        # That the relay does not know us says nothing about the recipient, where it took others.
        spared = not direct and _refuses_to_relay(recipient)
        return _evidence(index, _DEFERRED if spared else _letter(meanings[index]), recipient)
    mail = transaction.mail
    if mail is not None and mail.code // 100 != 2:
        # Where the session broke after it, it may have been the answer to something else.
        letter = _DEFERRED if transaction.trouble else _letter(meanings[index])
        return _evidence(index, letter, mail)
    if transaction.data is not None:
        if transaction.data.code // 100 == 2 and transaction.dot_sent:
            return _evidence(index, _DELIVERED, transaction.data)
        return _evidence(index, _letter(meanings[index]), transaction.data)
    if not transaction.dot_sent:
        return RecipientReply(index, _DEFERRED)
    if recipient is None:
        return RecipientReply(index, _UNCERTAIN)
    return _evidence(index, _UNCERTAIN, recipient)  # The last that was heard of it.


def _letter(meaning: Meaning) -> str:
    return _BOUNCED if meaning.outcome == "bounce" else _DEFERRED


def _evidence(index: int, status: str, reply: Reply) -> RecipientReply:
    return RecipientReply(index, status, reply.code, reply.enhanced, reply.text[:KEPT_TEXT])


def category(reply: RecipientReply, meaning: Meaning | None) -> str:
    """What a refusal is about: the category of its meaning.

    `none` for what was delivered, `connection` where there was no reply.
    """
    if reply.status == _DELIVERED:
        return "none"
    if not reply.code or meaning is None:
        return "connection"
    return meaning.category
