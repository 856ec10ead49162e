"""Refusals that name a mailbox and are about something else, or not for good: nobody is suppressed.

Texts of senders' checks, of pace, of servers' own trouble; a living address behind each of them.
"""

from __future__ import annotations

import pytest

from shared.classification.classification import Classification
from shared.classification.settings import ClassificationSettings, ReplySettings
from shared.config import load
from shared.settings import Settings

SHIPPED = Classification(load(None, {}))

OF_THE_SENDER = """
550 - No such user (in reply to MAIL FROM command)
550 5.1.1 SMTP error from remote mail server after MAIL FROM:<a@b.example>: 550 User unknown
550 - Invalid return path: mailbox does not exist
550 5.7.1 Reverse path user unknown
550 - envelope from: no such user here
550 - From address does not exist
550 5.7.1 Reply-To address does not exist
550 - The address you are sending from does not exist
550 - the account of the sender does not exist
550 - Sender callout: recipient unknown
550 - Verification of your address failed: user unknown
550 5.1.1 <x@y.example>: Recipient address rejected: unverified address: probe queued
550 5.2.1 This user no longer accepts messages from your domain
550 - This account no longer accepts mail from outside the organization
550 - user disabled receiving of newsletters
550 - recipient does not exist or has blocked you
550 5.7.1 Unknown user or you are not in the permitted list
550 - your mailbox does not exist here
550 - Empf\u00e4nger unbekannt: Absender ist gesperrt
""".strip().splitlines()
OF_OTHER_THINGS = """
550 - MX record for b.example could not be found
550 - Your IP address does not exist in our whitelist
550 - IP address 192.0.2.1 does not exist in allowed list
550 5.7.1 recipient not found in allow list
550 - no such name in DNS for that host
550 5.1.1 sorry, I couldn't find any host by that name
554 - Too many unknown users
550 - Unknown email server, go away
550 - Unknown user agents are not taken
550 - Invalid user or password
550 5.7.0 Account unknown, please login first
550 5.4.7 Delivery to recipient failed: message expired
550 - Mail for this recipient expired in queue after 5 days
550 - Recipient refused, connection closed
554 - session of this user has expired
550 - LDAP: user unknown, lookup error
550 5.1.1 Backend unavailable, user unknown
550 5.1.1 User unknown; rejecting (rate controlled)
554 5.3.0 Mailbox closed: server is shutting down
550 5.2.0 account inactive until payment is received
550 - user account is disabled because over limit of messages
""".strip().splitlines()
FOR_A_WHILE = """
550 5.1.1 The user is not accepting messages at this time
550 5.1.1 Recipient not available right now
550 5.1.1 Temporarily unavailable
550 - Mailbox disabled by administrator, temporarily
550 - Mailbox not found, try again later
550 5.1.1 Mailbox is currently being moved
550 - account is closed for maintenance
550 - mailbox closed for today
550 4.1.1 User unknown
550 - mailbox does not exist yet, provisioning
550 5.1.1 Address book sync pending: recipient not found
550 - Mailbox expired, grace period
""".strip().splitlines()


@pytest.mark.parametrize("row", [*OF_THE_SENDER, *OF_OTHER_THINGS, *FOR_A_WHILE])
def test_what_is_in_doubt_suppresses_nobody(row: str) -> None:
    code, enhanced, text = row.split(" ", 2)
    meaning = SHIPPED.of(int(code), enhanced.strip("-"), text, at_rcpt=True)
    assert (meaning.outcome, meaning.suppresses) == ("bounce", False)


NO_DOUBT = (
    (
        "host mx.bulk.example[192.0.2.1] said: 550 5.1.1 <x@y.example>: Recipient address rejected:"
        " User unknown in local recipient table (in reply to RCPT TO command)"
    ),
    (
        "SMTP error from remote mail server after RCPT TO:<x@y.example>: host external.y.example"
        " [2001:db8::1]: 550 5.1.1 User unknown"
    ),
    "Remote Server at mx.y.example (192.0.2.1) returned '550 5.1.10 Recipient not found'",
    (
        "The email account that you tried to reach does not exist. Please try double-checking the"
        " recipient's email address for typos or unnecessary spaces."
    ),
    "Recipient address has null MX",
    "sorry, no mailbox here by that name",
)


@pytest.mark.parametrize("text", NO_DOUBT)
def test_who_says_it_and_how_to_write_it_is_no_doubt(text: str) -> None:
    assert SHIPPED.of(550, "5.1.1", text, at_rcpt=True).suppresses


def test_the_words_of_the_installation_are_its_own() -> None:
    entry = ReplySettings(
        "own", text="gone for this time", category="mailbox_unknown", scope="recipient",
        suppresses=True,
    )  # fmt: skip
    text = "user unknown, gone for this time"
    shipped = Classification(Settings(classification=ClassificationSettings((entry,))))
    own = ClassificationSettings((entry,), own=frozenset({"own"}))
    assert not shipped.of(550, "5.1.1", text).suppresses
    assert Classification(Settings(classification=own)).of(550, "5.1.1", text).suppresses
