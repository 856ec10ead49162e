"""Replies that ask for less, and those that do not, whatever a rule says.

`replies.toml` has replies of real servers; a new one is a row there.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.config import load
from shared.shaping.rules import Rules, about_recipient
from shared.shaping.settings import RuleSettings
from shared.shaping.shaping import Shaping

SHIPPED = Shaping(load(None, {})).rules
EVERYTHING = Rules([RuleSettings(name="all", slow=True), RuleSettings(name="any", text=".*")])
"""Rules that take whatever they are given."""
REPLIES = tomllib.loads(Path(__file__).with_name("replies.toml").read_text("utf-8"))["reply"]
_REPLY = re.compile(r"([2-5][0-9]{2}) (?:([245]\.[0-9.]+) )?(.*)\Z")


def found(
    code: int, enhanced: str, text: str, provider: str = "", *, rcpt: bool = False, rules: Rules
) -> str:
    """The name of the rule that is found; empty: none."""
    rule = rules.find(code, enhanced, text, at_rcpt=rcpt, provider=provider)
    return rule.name if rule else ""


@pytest.mark.parametrize("rcpt", [False, True], ids=["", "rcpt"])
@pytest.mark.parametrize("row", REPLIES, ids=lambda row: row["text"][:40])
def test_what_replies_of_real_servers_ask_for(row: dict[str, str], rcpt: bool) -> None:
    match = _REPLY.match(row["text"])
    assert match is not None
    reply = int(match[1]), match[2] or "", match[3]
    site, about = row.get("site", ""), row.get("about", "")
    assert found(*reply, site, rcpt=rcpt, rules=SHIPPED) == row.get("rule", "")
    told = about_recipient(*reply, at_rcpt=rcpt)
    assert about in told
    assert bool(told) == bool(about)
    if about:
        assert not found(*reply, site, rcpt=rcpt, rules=EVERYTHING)


def test_every_shipped_rule_has_a_reply_that_it_is_for() -> None:
    assert {rule.name for rule in SHIPPED} == {row["rule"] for row in REPLIES if "rule" in row}


@pytest.mark.parametrize(
    "text",
    ["Try again in 300 seconds", "retry after 5 minutes", "come back in 60 s", "return later"],
)  # fmt: skip
@pytest.mark.parametrize("code", [450, 451])
def test_who_asks_to_be_asked_again_at_rcpt_greylists(code: int, text: str) -> None:
    assert not found(code, "4.7.1", text, rcpt=True, rules=EVERYTHING)
    assert found(code, "4.7.1", text, rcpt=False, rules=EVERYTHING) == "all"
    assert found(421, "4.7.1", text, rcpt=True, rules=EVERYTHING) == "all"


@pytest.mark.parametrize("code", [450, 451])
@pytest.mark.parametrize("enhanced", ["4.7.1", "4.7.0", ""])
def test_a_bare_deferral_at_rcpt_is_taken_for_greylisting(code: int, enhanced: str) -> None:
    text = "Service unavailable - try again later"
    by_code = Rules([RuleSettings(name="code", codes=(code,), enhanced=(), slow=True)])
    by_text = Rules([RuleSettings(name="text", codes=(code,), text="unavailable", slow=True)])
    assert not found(code, enhanced, text, rcpt=True, rules=by_code)
    assert not found(code, enhanced, text, rcpt=True, rules=SHIPPED)
    assert found(code, enhanced, text, rcpt=True, rules=by_text) == "text"
    assert found(code, enhanced, text, rcpt=False, rules=by_code) == "code"
    assert found(code, "4.7.650", text, rcpt=True, rules=by_code) == "code", "that code says much"


def test_all_that_a_rule_says_must_match() -> None:
    rule = RuleSettings(
        name="r",
        codes=(421, 550),
        enhanced=("4.7.*", "5.7.1"),
        text="too fast",
        sites=("ours",),
        slow=True,
    )
    rules = Rules([rule])
    assert found(421, "4.7.9", "You send TOO FAST", "ours", rules=rules) == "r"
    assert found(550, "5.7.1", "too fast", "ours", rules=rules) == "r"
    assert not found(451, "4.7.9", "too fast", "ours", rules=rules)
    assert not found(421, "4.8.9", "too fast", "ours", rules=rules)
    assert not found(550, "5.7.10", "too fast", "ours", rules=rules)
    assert not found(421, "4.7.9", "too slow", "ours", rules=rules)
    assert not found(421, "4.7.9", "too fast", "theirs", rules=rules)


def test_the_first_rule_decides() -> None:
    rules = Rules(
        [
            RuleSettings(name="first", codes=(421,), text="busy", slow=True),
            RuleSettings(name="second", codes=(421,), slow=True),
        ]
    )
    assert found(421, "", "busy", rules=rules) == "first"
    assert found(421, "", "away", rules=rules) == "second"
    assert [rule.name for rule in rules] == ["first", "second"]


def test_only_the_beginning_of_a_reply_is_looked_at() -> None:
    assert found(421, "", " " * 500 + "throttled", rules=SHIPPED) == "rate-limited"
    assert not found(421, "", " " * 512 + "throttled", rules=SHIPPED)
    assert about_recipient(421, "", " " * 512 + "greylisted", at_rcpt=False) == ""
