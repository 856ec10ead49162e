"""`posthaste classify`: what it says, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shared.cli.main import cli
from shared.cli.replies import parsed_reply
from shared.errors import ConfigError
from shared.store.redis_operations import RedisOperations
from tests.unit.shared.classification.test_file import OURS, written


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command of an installation; gives its output. No store is asked."""
    written(tmp_path, OURS + 'text = "moving house"\nreason = "they said so"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RedisOperations, "__init__", None)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["classify", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_it_says_what_a_reply_means_and_why(told: Any) -> None:
    text = told("550 5.1.1 <a@b.test>: User unknown")
    assert text.startswith("bounce: mailbox_unknown (about this recipient)\n")
    assert "suppresses the address: yes" in text
    assert "by user-unknown (shipped)" in text
    assert "https://www.postfix.org/" in text


def test_it_says_for_which_words_nobody_is_suppressed(told: Any) -> None:
    reply = "550 5.1.1 User unknown, the directory is Temporarily away"
    text = told(reply)
    assert text.startswith("bounce: mailbox_unknown (about this recipient)\n")
    assert '\n  suppresses the address: no, for "Temporarily": it may be about something' in text
    assert "by user-unknown (shipped)" in text
    body = json.loads(told(reply, "--json"))
    assert (body["suppresses"], body["doubt"]) == (False, "Temporarily")
    sure = json.loads(told("550 5.1.1 User unknown", "--json"))
    assert (sure["suppresses"], sure["doubt"]) == (True, "")
    code = json.loads(told("550 4.1.1 User unknown", "--json"))
    assert (code["suppresses"], code["doubt"]) == (False, "4.1.1")
    assert "suppresses the address: no\n" in told("550 5.1.1 blocked for spam")


def test_as_json_with_the_file_a_rule_is_from(told: Any) -> None:
    body = json.loads(told("550 we are moving house", "--json"))
    assert body == {
        "outcome": "bounce", "category": "policy", "scope": "recipient", "suppresses": False,
        "rule": "r", "doubt": "", "origin": "classification.toml", "reason": "they said so",
        "source": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "rule", "reason"),
    [
        ("550 5.1.1 hm", "enhanced 5.1.1", "the mailbox does not exist"),
        ("550 5.7.88 hm", "enhanced 5.7.*", "security or policy"),
        ("556 hm", "code 556", "the domain takes no mail"),
        ("598 hm", "digit 5", "the first digit decides"),
    ],
)
def test_what_no_rule_knows_is_explained_by_its_code(
    told: Any, reply: str, rule: str, reason: str
) -> None:
    body = json.loads(told(reply, "--json"))
    assert (body["rule"], body["origin"]) == (rule, "shipped")
    assert reason in body["reason"]
    assert body["source"].startswith("https://")


def test_provider_and_command_count(told: Any) -> None:
    reply = "550 Requested action not taken: mailbox unavailable"
    assert json.loads(told(reply, "--json", "--site", "outlook"))["suppresses"]
    assert not json.loads(told(reply, "--json"))["suppresses"]
    assert "552 to RCPT" in told("552 hm", "--rcpt")
    assert "code 552" in told("552 hm")


def test_the_rules_are_listed_in_order(told: Any) -> None:
    rows = json.loads(told("--list", "--json"))["data"]
    assert (rows[0]["name"], rows[0]["origin"]) == ("r", "classification.toml")
    assert {row["origin"] for row in rows[1:]} == {"shipped"}
    lines = told("--list").splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[1].startswith("r ")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 5.1.1 no", (550, "5.1.1", "no")),
        ("550", (550, "", "")),
        ("550 5.1.1", (550, "5.1.1", "")),
        ("550-5.1.1 It\n550-5.1.1 is\n550 5.1.1 gone", (550, "5.1.1", "It is gone")),
        ("550-one\n550 two", (550, "", "one two")),
        ("  smtp; 550 5.1.1 no  ", (550, "5.1.1", "no")),
        ("smtp;550 #5.1.0 Address rejected.", (550, "5.1.0", "Address rejected.")),
        ("Diagnostic-Code: smtp; 550-5.1.1 It\n  550 5.1.1 is gone", (550, "5.1.1", "It is gone")),
        ("Diagnostic-Code: smtp; 550 5.1.1 no\n    such user", (550, "5.1.1", "no such user")),
        ("host mx.b.test[192.0.2.1] said: 550 no", None),
        ("said: 550 no", (550, "", "no")),
    ],
)  # fmt: skip
def test_a_reply_is_read_as_people_have_it(
    reply: str, expected: tuple[int, str, str] | None
) -> None:
    assert parsed_reply(reply) == (expected or (550, "", "no"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("hello",), "is no reply of a server"),
        (("",), "the reply is empty"),
        (("550-a\n551 b",), "is no reply of a server"),
        (("250 Ok",), "250 refuses nothing"),
        ((), "give a reply"),
        (("550 a", "--list"), "give a reply"),
        (("550 a", "--site", "gogle"), "there is no site gogle; did you mean google?"),
    ],
)
def test_a_wrong_call_is_told(told: Any, arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        told(*arguments)


def test_the_readme_shows_what_it_says() -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text("utf-8")
    call = r"^\$ posthaste classify (\".*?\")( --site \w+)?\n((?:(?!\$).*\n)+?)(?=\$|```)"
    calls = re.findall(call, readme, re.MULTILINE)
    assert len(calls) == 4
    for reply, site, output in calls:
        found = CliRunner().invoke(cli, ["classify", reply.strip('"'), *site.split()])
        assert found.output == output
