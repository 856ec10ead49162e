"""What replies mean: the order in which rules are asked, and what none of them may do."""

from __future__ import annotations

import random
import time
import tomllib
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.classification.checks import DEAD, check_name, check_reply
from shared.classification.classification import Classification
from shared.classification.file import SHIPPED, STATUSES, statuses
from shared.classification.meaning import Meaning
from shared.config import load
from shared.settings import Settings
from shared.shaping.pattern import ways

SETTINGS = load(None, {})
CLASSIFICATION = Classification(SETTINGS)
BARE = Classification(Settings())
"""Without any rule: codes only."""
ENTRIES = list(CLASSIFICATION)
PROVIDERS = ["", *SETTINGS.shaping.site]
SECONDS = 0.25
"""More than 50 times what the slowest reply known takes."""


def of(code: int, enhanced: str, text: str, **more: Any) -> Meaning:
    return CLASSIFICATION.of(code, enhanced, text, **more)


def ruled(*rules: dict[str, Any]) -> Classification:
    """One with these rules alone."""
    entries = [{"name": "r", "category": "other", "scope": "recipient"} | each for each in rules]
    return Classification(msgspec.convert({"classification": {"reply": entries}}, Settings))


# -- What is shipped.


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_shipped_rule_suppresses_but_for_a_dead_address(entry: Any) -> None:
    check_name(entry.name)
    check_reply(entry, SETTINGS.shaping.site)
    assert len(entry.reason) > 20
    assert urlsplit(entry.source).scheme in ("https", "http")
    if entry.suppresses:
        assert entry.category in DEAD
        assert entry.scope == "recipient"
        assert entry.outcome != "deferral"
    assert entry.outcome != "bounce", "a 4xx would bounce by it"


def test_no_code_alone_suppresses_but_for_a_dead_address() -> None:
    assert {each.of for each in statuses() if each.suppresses} == {"1.1", "1.6", "1.10"}
    for each in statuses():
        assert each.outcome != "bounce"
        assert each.category in DEAD or not each.suppresses
        assert len(each.reason) > 5
        assert urlsplit(each.source).scheme == "https"
    names = [each["of"] for each in tomllib.loads(STATUSES.read_text("utf-8"))["status"]]
    assert len(set(names)) == len(names)
    shipped = [each["name"] for each in tomllib.loads(SHIPPED.read_text("utf-8"))["reply"]]
    assert len(set(shipped)) == len(shipped) == len(ENTRIES)


def test_the_shipped_rules_together_are_quick_to_ask() -> None:
    assert sum(ways(entry.text) for entry in ENTRIES) < 30_000


# -- What holds of every reply.

CODES = st.integers(min_value=400, max_value=599)
ENHANCED = st.one_of(
    st.just(""),
    st.builds(
        "{}.{}.{}".format,
        st.sampled_from("45"),
        st.integers(0, 9),
        st.integers(min_value=0, max_value=999),
    ),
)
WORDS = [
    "user", "unknown", "mailbox", "account", "recipient", "address", "rejected:", "does not exist",
    "disabled", "blocked", "spam", "full", "quota exceeded", "too many", "messages", "your",
    "sender", "sending", "IP", "listed at", "rate", "limit", "exceeded", "try again later",
    "<a@b.test>", "@", "policy", "temporarily", "unavailable", "not", "found", "#5.1.1",
    "invalid", "access denied",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=600),
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
)


@given(CODES, ENHANCED, TEXTS, st.sampled_from(PROVIDERS), st.booleans())
def test_any_reply_has_a_meaning_and_a_4xx_never_bounces(
    code: int, enhanced: str, text: str, provider: str, at_rcpt: bool
) -> None:
    for classification in (CLASSIFICATION, BARE):
        found = classification.of(code, enhanced, text, provider=provider, at_rcpt=at_rcpt)
        if code < 500 or code == 503:
            assert found.outcome == "deferral"
        if found.suppresses:
            assert (found.outcome, found.scope) == ("bounce", "recipient")
            assert found.category in DEAD


def test_hostile_texts_take_no_time() -> None:
    """The processor's time, since the machine may have others to serve."""
    seeded = random.Random(7)  # For the same texts each time.
    words = [
        *WORDS,
        "sender address ",
        "has been blocked ",
        "a@" * 9,
        " " * 9,
        "exceeded ",
        "\u00df",
    ]
    texts = [(word * 600)[:512] for word in words]
    texts += ["".join(seeded.choices(words, k=80))[:512] for _ in range(300)]
    for text in texts:
        began = time.process_time()
        of(550, "", text)
        assert time.process_time() - began < SECONDS, text


def test_what_comes_behind_512_characters_is_not_looked_at() -> None:
    assert of(550, "", " " * 400 + "user unknown").suppresses
    assert of(550, "", " " * 512 + "user unknown").rule == "code 550"


@pytest.mark.parametrize(
    "text",
    [
        "blocked for spam", "User unknown; your IP is on a block list",
        "mailbox full, user unknown", "Rejected: 192.0.2.1 listed at zen.spamhaus.org",
        "DMARC policy: no such user", "message contains a virus", "too many messages, slow down",
        "Sender address rejected: User unknown in virtual mailbox table",
        "Verification failed for <a@b.test>: 550 No such user here", "relaying denied",
        "Recipient address rejected: Access denied", "account suspended", "TLS required",
        "Mail from your server is not wanted", "sender unknown", "try again in 300 seconds",
        "The user you are trying to contact is receiving mail at a rate that prevents it",
    ],
)  # fmt: skip
@pytest.mark.parametrize("enhanced", ["5.1.1", "5.1.10", "5.2.1", ""])
def test_words_about_something_else_outweigh_the_code(enhanced: str, text: str) -> None:
    """Field demand 5: no 5xx for reputation, rate, policy, content is a dead address."""
    for at_rcpt in (False, True):
        assert not of(550, enhanced, text, at_rcpt=at_rcpt).suppresses


def test_words_about_a_dead_address_outweigh_the_code() -> None:
    for code, enhanced in ((554, "5.7.1"), (550, "5.7.1"), (550, ""), (552, ""), (551, "5.0.0")):
        found = of(code, enhanced, "<a@b.test>: User unknown", at_rcpt=True)
        assert (found.category, found.suppresses) == ("mailbox_unknown", True)
    assert not of(450, "4.7.1", "User unknown").suppresses, "a 4xx is no last word"


def test_addresses_in_a_reply_decide_nothing() -> None:
    for name in ("spam", "no.such.user", "mailbox-full", "blocked"):
        found = of(550, "", f"<{name}@{name}.test>: hm")
        assert found.rule == "code 550"
    assert of(550, "", "<user.unknown@b.test>... rejected").rule == "code 550"


# -- Codes.


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "expected"),
    [
        (550, "5.1.1", "hm", ("bounce", "mailbox_unknown", True, "enhanced 5.1.1")),
        (550, "4.1.1", "hm", ("bounce", "mailbox_unknown", False, "enhanced 4.1.1")),
        (450, "4.1.1", "hm", ("deferral", "mailbox_unknown", False, "enhanced 4.1.1")),
        (450, "5.1.1", "hm", ("deferral", "mailbox_unknown", False, "enhanced 5.1.1")),
        (550, "5.1.99", "hm", ("bounce", "other", False, "enhanced 5.1.*")),
        (550, "5.7.99", "hm", ("bounce", "policy", False, "enhanced 5.7.*")),
        (550, "5.9.1", "hm", ("bounce", "other", False, "code 550")),
        (550, "", "hm (#5.1.1)", ("bounce", "mailbox_unknown", True, "enhanced 5.1.1")),
        (550, "", "hm 4.1.1", ("bounce", "other", False, "code 550")),
        (550, "", "Exim 5.1.1.2", ("bounce", "other", False, "code 550")),
        (552, "", "hm", ("bounce", "mailbox_full", False, "code 552")),
        (599, "", "hm", ("bounce", "other", False, "digit 5")),
        (499, "", "", ("deferral", "other", False, "digit 4")),
        (503, "5.5.1", "hm", ("deferral", "protocol", False, "enhanced 5.5.1")),
        (503, "5.1.1", "hm", ("deferral", "mailbox_unknown", False, "enhanced 5.1.1")),
        (550, "5.5.3", "hm", ("deferral", "protocol", False, "enhanced 5.5.3")),
        (299, "", "hm", ("deferral", "other", False, "digit 2")),
    ],
)
def test_without_words_the_code_decides(
    code: int, enhanced: str, text: str, expected: tuple[Any, ...]
) -> None:
    for classification in (BARE, CLASSIFICATION):
        found = classification.of(code, enhanced, text)
        assert (found.outcome, found.category, found.suppresses, found.rule) == expected


def test_552_to_rcpt_is_too_many_unless_it_says_what_is_full() -> None:
    """RFC 5321 section 4.5.3.1.10."""
    for enhanced in ("", "5.0.0", "5.5.3", "5.7.1"):
        found = of(552, enhanced, "hm", at_rcpt=True)
        assert (found.outcome, found.rule) == ("deferral", "552 to RCPT")
    for enhanced, text in (("5.2.2", "hm"), ("5.3.4", "hm"), ("", "mailbox is full")):
        found = of(552, enhanced, text, at_rcpt=True)
        assert (found.outcome, found.suppresses) == ("bounce", False)
    assert of(552, "", "exceeded storage allocation", at_rcpt=True).outcome == "deferral"
    assert of(552, "", "exceeded storage allocation").outcome == "bounce"


# -- Rules.


def test_all_that_a_rule_says_must_match_and_the_first_decides() -> None:
    found = ruled(
        {"name": "narrow", "codes": (550, 450), "enhanced": ("5.7.*", "4.2.1"), "text": "no go",
         "providers": ("google",), "category": "policy"},
        {"name": "first", "codes": (551,), "category": "routing"},
        {"name": "second", "codes": (551,), "category": "size"},
    )  # fmt: skip

    def name(code: int, enhanced: str, text: str, provider: str = "google") -> str:
        return found.of(code, enhanced, text, provider=provider).rule

    assert name(550, "5.7.9", "NO GO") == "narrow"
    assert name(450, "4.2.1", "a no go") == "narrow"
    assert name(551, "5.7.9", "no go") == "first"
    assert name(550, "5.8.9", "no go") == "code 550"
    assert name(450, "4.2.10", "no go") == "enhanced 4.2.*"
    assert name(550, "5.7.9", "go") == "enhanced 5.7.9"
    assert name(550, "5.7.9", "no go", "") == "enhanced 5.7.9"
    assert [entry.name for entry in found] == ["narrow", "first", "second"]


def test_a_rule_decides_whether_it_bounces_and_never_suppresses_what_does_not() -> None:
    found = ruled(
        {"name": "later", "text": "later", "outcome": "deferral"},
        {"name": "never", "text": "never", "outcome": "bounce", "suppresses": True},
        {"name": "dead", "text": "dead", "suppresses": True},
        {"name": "wide", "text": "wide", "suppresses": True, "scope": "site"},
    )
    assert found.of(550, "", "later").outcome == "deferral"
    assert found.of(450, "", "never") == Meaning("bounce", "other", "recipient", True, "never")
    assert found.of(550, "", "dead").suppresses
    assert not found.of(450, "", "dead").suppresses
    assert not found.of(550, "", "wide").suppresses, "whatever the file was read by"
