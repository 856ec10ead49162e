"""How the notices of mail servers begin: the table by which a text is told from a person's letter.

A text counts as a bounce only with one of these phrases, in what is not quoted, and only from a
sender that is a mail system (`senders.py`). Phrases are in lower case, each run of white space one
space. There are samples in tests/unit/workers/returns/forms, with where each form is documented.
"""

from __future__ import annotations

import re

import msgspec

_LOOKED_AT = 16 * 1024
_SPACES = re.compile(r"\s+")

FAILED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "qmail",
        (
            "this is the qmail-send program at",
            "i'm afraid i wasn't able to deliver your message",
            "this is the deliver program at",
            "this is the email server at",
            "to the following addresses. this is a permanent error",
        ),
    ),
    (
        "postfix",
        (
            "this is the postfix program at host",
            "this is the mail system at host",
            "i'm sorry to have to inform you that your message could not be delivered",
            "i'm sorry to have to inform you that the message returned below could not",
        ),
    ),
    (
        "exim",
        (
            "this message was created automatically by mail delivery software",
            "a message that you sent could not be delivered to",
            "the following address failed:",
            "a message that you have sent could not be delivered to",
            "the following address(es) failed:",
            "a message sent by you could not be delivered",
            "this is a permanent error. the following",
        ),
    ),
    (
        "sendmail",
        (
            "the following addresses had permanent fatal errors",
            "the following addresses had permanent delivery errors",
            "transcript of session follows",
            "the following addresses had delivery errors",
            "the following addresses had delivery problems",
        ),
    ),
    ("mailenable", ("message could not be delivered to some recipients",)),
    (
        "masqmail",
        ("delivery to the following recipients failed permanently and has been given up",),
    ),
    (
        "exchange",
        (
            "did not reach the following recipient(s)",
            "following recipient(s) could not be reached",
            "did not reach some or all of the intended recipients",
            "delivery has failed to these recipients",
            "your message couldn't be delivered",
            "fehler bei der nachrichtenzustellung an folgende",
            "de la remise à ces destinataires",
            "no se pudo entregar el mensaje a estos destinatarios",
            "次の受信者またはグループへの配信に失敗",
            "impossibile recapitare il messaggio a",
            "delivery to the following recipients failed",
            "could not be delivered to the following user",
        ),
    ),
    (
        "gmail",
        (
            "delivery to the following recipient failed permanently",
            "message wasn't delivered to",
            "delivery to the following recipients failed permanently",
            "** address not found **",
            "** message not delivered **",
            "** message blocked **",
            "message wasn't delivered because",
            "your message couldn't be delivered to",
        ),
    ),
    (
        "yahoo",
        (
            "unable to deliver message to the following address(es)",
            "we were unable to deliver your message to the following address",
            "unable to deliver your message to the following address",
        ),
    ),
    (
        "aol",
        (
            "your mail to the following recipients could not be delivered",
            "the following recipients did not receive your message",
        ),
    ),
    (
        "secureserver",
        (
            "message to the following address(es) could not be delivered",
            "message to the following recipient(s) could not be delivered",
        ),
    ),
    ("domino", ("was not delivered to:", "failure reasons", "not listed in domino directory")),
    ("groupwise", ("the message that you sent was undeliverable to the following",)),
    ("courier", ("message to the following recipients cannot be delivered",)),
    (
        "imail",
        (
            "unknown user:",
            "invalid final delivery userid:",
            "user mailbox exceeds allowed size:",
            "delivery failed 20 attempts:",
            "unknown host:",
            "undeliverable to ",
        ),
    ),
    (
        "mdaemon",
        (
            "the attached message had permanent fatal delivery errors",
            "the following addresses did not receive a copy of your message",
            "your message was not delivered to one or more recipients",
        ),
    ),
    ("communigate", ("failed to deliver to '", "failed to deliver to <")),
    (
        "surgemail",
        (
            "your message cannot be delivered to the following recipients",
            "delivery of the message failed",
        ),
    ),
    (
        "james",
        (
            "error message below:",
            "this is the james mail server at",
            "message could not be delivered to the following",
        ),
    ),
    ("xmail", ("[<00>] xmail bounce:", "[00] xmail bounce:")),
    (
        "opensmtpd",
        (
            "this is the mailer-daemon, please do not reply to this e-mail",
            "an error has occurred while attempting to deliver a message",
        ),
    ),
    ("stalwart", ("message could not be delivered to the following recipients",)),
    ("smail", ("failed addresses follow:", "message log follows:")),
    ("netscape", ("this message was undeliverable due to the following reason",)),
    ("mailmarshal", ("could not be delivered because of",)),
    ("interscan", ("received >>> 5", "message from interscan", "メッセージを配信できません")),
    ("mfilter", ("このメールは「m-filter」が", "送信できませんでした")),
    ("ironport", ("was undeliverable. the reason for the problem",)),
    ("barracuda", ("was blocked by our spam firewall",)),
    (
        "mimecast",
        (
            "attempted to send to the following address could not be delivered",
            "attempted to send to the following address(es) could not be delivered",
        ),
    ),
    ("messagelabs", ("i was unable to deliver your message to the following addresses",)),
    ("mailfoundry", ("unable to deliver message to:", "delivery failed for the following reason:")),
    ("surfcontrol", ("a transcript of the attempts to send the message follows",)),
    ("ses", ("an error occurred while trying to deliver the mail to the following recipients",)),
    ("sendgrid", ("your message was not able to be delivered to one of its intended recipients",)),
    ("powermta", ("on the delivery status of a message you previously sent",)),
    (
        "mx",
        (
            "recipient was aborted after",
            "recipients was aborted after",
            "recipient(s) was aborted after",
            "we had trouble delivering your message",
        ),
    ),
    (
        "ezweb",
        (
            "each of the following recipients was rejected by a remote mail server",
            "could not be delivered to: <",
            "the following recipients could not be delivered",
        ),
    ),
    ("coremail", ("您的邮件被退回来了", "您的邮件被退回", "退信原因")),
    ("qq", ("无法发送到", "邮件无法送达")),
    ("facebook", ("this message could not be delivered to its recipient",)),
)
"""Of mail that was not delivered: the form's name and its phrases."""

DELAYED = (
    "has not yet been delivered",
    "message has not been delivered to all of its recipients after",
    "no action is required on your part",
    "this is a warning message only",
    "this is a warning only",
    "you do not need to resend your message",
    "has been delayed",
    "had transient non-fatal errors",
    "transient delivery errors",
    "will keep trying",
    "will be retried",
    "gmail will retry",
    "we will continue to try",
    "will continue to attempt",
    "this is just a warning",
    "delivery attempts will continue to be made",
    "will retry for",
    "this is an advisory-only email",
    "temporary problem delivering your message",
    "message is delayed",
    "will try for up to",
    "delivery will continue to be attempted",
    "wird weiterhin versucht",
    "still trying to deliver",
    "delivery is delayed to these recipients",
    "message is still undelivered",
    "warning: could not send",
)
"""Of mail that is still being tried. They go before `FAILED`, whose texts they share."""
DELAYED_SUBJECTS = (
    "warning: message",
    "delayed mail",
    "delivery status notification (delay)",
    "delivery delayed",
    "warning: could not send message for past",
    "message delivery delayed",
    "delivery delay",
    "zustellung verzögert",
    "delivery notification: delivery has been delayed",
)
FOR_GOOD = ("permanent fatal errors", "failed permanently", "giving up", "gave up", "given up")
"""Whatever it says besides: it is over."""


class Form(msgspec.Struct, frozen=True):
    """What a text was told by."""

    name: str
    delayed: bool


def recognised(text: str, subject: str) -> Form | None:
    """Which form a text has; None: none, it is of a person."""
    start = _SPACES.sub(" ", unquoted(text[:_LOOKED_AT])).lower()
    title = subject.lower()
    late = any(each in start for each in DELAYED) or title.startswith(DELAYED_SUBJECTS)
    over = any(each in start for each in FOR_GOOD)
    name = next((name for name, phrases in FAILED if any(each in start for each in phrases)), "")
    if late and not over:
        return Form(name or "warning", delayed=True)
    return Form(name, delayed=False) if name else None


def unquoted(text: str) -> str:
    """Without the lines that quote."""
    return "\n".join(each for each in text.split("\n") if not each.startswith(">"))
