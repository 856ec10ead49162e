"""What a message that came back says: plain values, of which nothing is believed yet.

Anybody can write any of this. A report counts for a recipient only when one of its `references`, or
the return path it came to, is a token of ours, and the recipient is the one that token is for.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["dsn", "complaint", "auto_reply", "delayed", "delivered", "relayed", "other"]
"""`dsn`: mail was not delivered to at least one recipient. `complaint`: somebody called it spam
(RFC 5965). `auto_reply`: of a person who is away, a ticket system, a challenge (RFC 3834).
`delayed`: still being tried. `delivered`, `relayed` (or expanded): it got there. `other`: a reply
of a person, a report that is not about delivery or spam, or what nobody knows. Only the first two
say anything about a recipient."""
Action = Literal["failed", "delayed", "delivered", "relayed", "expanded", ""]
"""RFC 3464 section 2.3.3. Empty: not said, or a word that is not one of these."""

MOST_RECIPIENTS = 100
MOST_CANDIDATES = 100
MOST_REFERENCES = 10
"""Of references, and of return paths: more than one is a forgery or a digest of bounces."""
MOST_TEXT = 1000
"""Characters of a diagnostic."""


class Told(msgspec.Struct, frozen=True):
    """What a report says of one recipient: a group of fields of a DSN, or a paragraph of text."""

    final_recipient: str = ""
    """Address where it was refused, decoded; empty: not said, or not an e-mail address."""
    original_recipient: str = ""
    """Address that was written to, decoded (ORCPT of RFC 3461): best where both are there."""
    action: Action = ""
    status: str = ""
    """Enhanced code, `5.1.1` (RFC 3463); empty: none that is one."""
    code: int = 0
    """The SMTP reply code in the diagnostic, 400 to 599; 0: none."""
    diagnostic_type: str = ""
    """In lower case: `smtp`, `x-unix`, ...; empty: it was found in a text."""
    diagnostic: str = ""
    """What the server said: one line, at most `MOST_TEXT` characters."""
    remote_mta: str = ""
    """Host that said so, without its type."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it is about, the original one first."""
        both = (self.original_recipient, self.final_recipient)
        return tuple(dict.fromkeys(each for each in both if each))


class Report(msgspec.Struct, frozen=True):
    """What one message says. `workers.returns.read.read` makes it."""

    kind: Kind
    recipients: tuple[Told, ...] = ()
    """At most `MOST_RECIPIENTS`; each has its own action. Those of a text have action `failed`, or
    `delayed`; empty where a bounce names nobody: then `text` is what it says."""
    references: tuple[str, ...] = ()
    """Values of X-Posthaste-Reference in the returned original, never in the report's own header:
    as they stand there, unverified. At most `MOST_REFERENCES`."""
    return_paths: tuple[str, ...] = ()
    """Local parts that begin with `b-`, in the Return-Path or the like of the returned original, or
    in Original-Mail-From of a complaint. At most `MOST_REFERENCES`."""
    candidates: tuple[str, ...] = ()
    """Addresses that the copy may have been for, the likeliest first: `Tokens.is_for` picks the
    right one when the message's record is gone. At most `MOST_CANDIDATES`."""
    text: Told | None = None
    """Of a bounce that is only text: the code and words in it that look most like a reason, where
    they belong to nobody in particular."""
    feedback_type: str = ""
    """Complaints: Feedback-Type in lower case: `abuse`, `fraud`, `virus`, `other`. Reports of type
    `not-spam`, `opt-out` and others have it, too, and kind `other`."""
    user_agent: str = ""
    source_ip: str = ""
    arrival: str = ""
    """Arrival-Date or Received-Date of the message that is complained about, as written."""
    reported_domain: str = ""
    reporting_mta: str = ""
    """Without its type."""
    form: str = ""
    """Which text form it has (`workers.returns.forms`), where it was read as text."""
    returned: bool = False
    """Whether any of the original message came back with it."""
    trouble: tuple[str, ...] = ()
    """What was malformed: fixed words (`workers.returns.trouble`), sorted."""
