"""`posthaste shaping`: what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shared.cli.main import cli
from shared.errors import ConfigError
from shared.store.redis_operations import RedisOperations
from tests.unit.shared.shaping.test_file import written

FILE = """
[site.google]
per_day = 50000
[relay.gw]
connections = 4
[route.news]
per_hour = 20
reason = "newsletters can wait"
[[rule]]
name = "ours"
codes = [451]
text = "not now"
suspend_seconds = 90
reason = "they said so"
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command of an installation; gives its exit code and output. No store is asked."""
    written(tmp_path, FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RedisOperations, "__init__", None)

    def call(*arguments: str, expected: int = 0) -> str:
        result = CliRunner().invoke(cli, ["shaping", *arguments], catch_exceptions=False)
        assert result.exit_code == expected, result.output
        return result.output

    return call


def test_show_tells_each_figure_and_where_it_is_from(told: Any) -> None:
    text = told("show", "gmail-smtp-in.l.google.com")
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["[site.google]"]
    assert ["connections", "10", "site.google", "shipped"] in lines
    assert ["per_day", "50000", "site.google", "shaping.toml"] in lines
    assert ["recipients_per_transaction", "100", "default", "shipped"] in lines
    assert "https://support.google.com/" in text


def test_show_of_relays_routes_and_sites_nobody_knows(told: Any) -> None:
    body = json.loads(told("show", "--relay", "gw", "--json"))
    assert body["entry"] == "relay.gw"
    assert [(each["limit"], each["value"], each["entry"]) for each in body["limits"]] == [
        ("connections", 4, "relay.gw"),
        ("per_second", 7.0, "rate"),
    ]
    body = json.loads(told("show", "--route", "news", "--json"))
    assert [(each["limit"], each["origin"]) for each in body["limits"]] == [
        ("per_hour", "shaping.toml")
    ]
    assert body["reason"] == "newsletters can wait"
    body = json.loads(told("show", "mx.nobody.test", "--json"))
    assert (body["entry"], body["provider"]) == ("default", None)
    assert told("show").startswith("[default]")


def test_show_of_what_is_not_limited_or_not_there(told: Any) -> None:
    Path("shaping.toml").unlink()
    assert "no limits of its own" in told("show", "--route", "news", expected=1)
    for wrong, text in (
        (("--relay", "gv"), "there is no relay gv; did you mean gw?"),
        (("--route", "mews"), "there is no route mews; did you mean news?"),
        (("a.test", "--relay", "gw"), "one of them"),
        (("not a host",), "neither a host name nor an address"),
    ):
        with pytest.raises(ConfigError, match=text.replace("?", r"\?")):
            told("show", *wrong)


def test_rules_are_listed_in_order(told: Any) -> None:
    lines = told("rules").splitlines()
    assert lines[0].split()[0] == "RULE"
    assert lines[1].split()[:3] == ["ours", "all", "451"]
    assert "suspended for 90 s" in lines[1]
    assert lines[1].endswith("shaping.toml")
    assert all(len(line) < 200 for line in lines)
    rows = json.loads(told("rules", "--json"))["data"]
    assert [row["name"] for row in rows][:2] == ["ours", "google-unsolicited-rate"]
    assert rows[1]["origin"] == "shipped"
    assert rows[2]["enhanced"] == ["4.7.28"]


def test_try_tells_which_rule_a_reply_matches(told: Any) -> None:
    text = told("try", "451 4.3.0 Not now")
    assert text.splitlines() == ["rule ours (shaping.toml): suspended for 90 s", "  they said so"]
    lines = (
        "421-4.7.28 [192.0.2.1 15] Our system has detected an unusual rate of\r\n"
        "421 4.7.28 unsolicited mail originating from your IP address."
    )
    body = json.loads(told("try", lines, "--site", "google", "--json"))
    assert body["rule"]["name"] == "google-unsolicited-rate"
    assert body["rule"]["does"] == "suspended for 900 s, then slower"
    assert body["about_recipient"] is None


def test_try_tells_why_no_rule_matches(told: Any) -> None:
    text = told("try", "450 4.2.0 Greylisted", "--rcpt", expected=1)
    assert text == "no rule: it is about a mailbox\n"
    text = told("try", "451 4.7.1 Please try again in 5 minutes", "--rcpt", expected=1)
    assert "greylisting" in text
    assert "nothing is suspended" in told("try", "451 4.7.1 Try later", "--rcpt", expected=1)
    assert json.loads(told("try", "250", "--json", expected=1))["rule"] is None


@pytest.mark.parametrize(
    ("reply", "more", "text"),
    [
        ("hello", (), "no reply of a server"),
        ("", (), "the reply is empty"),
        ("421-a\n450 b", (), "no reply of a server"),
        ("421 a", ("--site", "gogle"), "there is no site gogle; did you mean google"),
    ],
)
def test_try_of_what_is_no_reply(told: Any, reply: str, more: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        told("try", reply, *more)
