"""shaping.toml over what is shipped: how both are put together, and what is told of a wrong one."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.config import load
from shared.errors import ConfigError
from shared.outgoing import outgoing_from
from shared.settings import Settings
from shared.shaping.file import SHIPPED, shaping_from
from shared.shaping.shaping import Shaping

SHIPPED_TABLES: dict[str, Any] = tomllib.loads(SHIPPED.read_text("utf-8"))
POSTHASTE = """
[[relay]]
name = "gw"
host = "127.0.0.1"
rate = 7

[[route]]
name = "news"
relay = "gw"
classes = ["bulk"]
"""


def written(directory: Path, text: str, name: str = "shaping.toml", more: str = "") -> Settings:
    """The settings of an installation with such a file."""
    (directory / "posthaste.toml").write_text(more + POSTHASTE)
    (directory / name).write_text(text)
    return load(directory / "posthaste.toml", {})


def test_every_shipped_entry_says_why_and_where_from() -> None:
    entries = [
        ("default", SHIPPED_TABLES["default"]),
        *SHIPPED_TABLES["site"].items(),
        *((rule["name"], rule) for rule in SHIPPED_TABLES["rule"]),
    ]
    assert len(entries) > 25
    for name, entry in entries:
        assert len(entry["reason"]) > 10, name
        url = urlsplit(entry["source"])
        assert url.scheme in ("https", "http"), name
        assert "." in url.netloc, name
    assert {"connections", "messages_per_connection", "recipients_per_transaction"} <= set(
        SHIPPED_TABLES["default"]
    )


def test_without_a_file_what_is_shipped_applies(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text(POSTHASTE)
    settings = load(tmp_path / "posthaste.toml", {})
    assert settings.shaping == shaping_from(None)
    assert settings.shaping.path == ""
    assert list(settings.shaping.site) == list(SHIPPED_TABLES["site"])
    assert load(None, {}).shaping == shaping_from(None)


def test_the_file_stands_over_the_shipped_one_field_by_field(tmp_path: Path) -> None:
    shaping = written(
        tmp_path, "[default]\nweight = 3\n[site.yahoo]\nconnections = 3\nper_day = 900\n"
    ).shaping
    yahoo = shaping.site["yahoo"]
    assert (yahoo.connections, yahoo.per_day) == (3, 900)
    assert yahoo.messages_per_connection == 20, "what the file does not say stays"
    assert yahoo.mx == ("*.yahoodns.net",)
    assert (shaping.default.weight, shaping.default.connections) == (3, 10)
    assert ("site", "yahoo", "connections") in shaping.own
    assert ("site", "yahoo", "messages_per_connection") not in shaping.own
    assert list(shaping.site) == list(SHIPPED_TABLES["site"]), "a changed entry keeps its place"


def test_new_entries_are_asked_before_the_shipped_ones(tmp_path: Path) -> None:
    text = """
[site.ours]
mx = ["*.l.google.com"]
[site.also]
mx = ["mx.also.test"]
[[rule]]
name = "busy"
codes = [421]
text = "busy"
suspend_seconds = 5
[[rule]]
name = "rate-limited"
suspend_seconds = 7
"""
    shaping = written(tmp_path, text).shaping
    assert list(shaping.site)[:3] == ["ours", "also", "google"]
    names = [rule.name for rule in shaping.rule]
    shipped = [rule["name"] for rule in SHIPPED_TABLES["rule"]]
    assert names == ["busy", *shipped], "the changed one keeps its place"
    (changed,) = [rule for rule in shaping.rule if rule.name == "rate-limited"]
    assert (changed.suspend_seconds, changed.slow) == (7, True)
    assert changed.text


def test_an_entry_can_be_turned_off(tmp_path: Path) -> None:
    text = """
[site.yahoo]
enabled = false
[[rule]]
name = "yahoo-deferred"
enabled = false
"""
    settings = written(tmp_path, text)
    assert "yahoo" not in settings.shaping.site
    names = [rule.name for rule in settings.shaping.rule]
    assert "yahoo-deferred" not in names
    assert "yahoo-refused" in names, "a rule for a site that is turned off is no error"
    assert Shaping(settings).of_site(["mta5.am0.yahoodns.net"]).provider == ""


def test_a_file_is_found_beside_posthaste_toml_or_by_name(tmp_path: Path) -> None:
    text = "[default]\nper_hour = 5\n"
    assert written(tmp_path, text).shaping.default.per_hour == 5
    (tmp_path / "shaping.toml").unlink()
    named = written(tmp_path, text, "mine.toml", 'shaping_file = "mine.toml"\n')
    assert named.shaping.default.per_hour == 5
    assert named.shaping.path == str(tmp_path / "mine.toml"), "it is relative to posthaste.toml"
    variable = {"POSTHASTE_SHAPING_FILE": str(tmp_path / "mine.toml")}
    assert load(None, variable).shaping.default.per_hour == 5


def test_a_named_file_that_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text('shaping_file = "gone.toml"\n')
    with pytest.raises(ConfigError, match=r"cannot read .*gone.toml: No such file.*shaping_file"):
        load(tmp_path / "posthaste.toml", {})


def test_what_is_no_file_is_told_instead_of_lifting_every_limit(tmp_path: Path) -> None:
    settings, shaping = tmp_path / "posthaste.toml", tmp_path / "shaping.toml"
    settings.write_text("")
    shaping.mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*shaping\.toml: Is a directory"):
        load(settings, {})
    shaping.rmdir()
    shaping.symlink_to("gone.toml")
    with pytest.raises(ConfigError, match=r"cannot read .*shaping\.toml: No such file"):
        load(settings, {})
    shaping.unlink()
    os.mkfifo(shaping)
    with pytest.raises(ConfigError, match=r"cannot read .*shaping\.toml: it is no file"):
        load(settings, {})


def test_shaping_does_not_stand_in_posthaste_toml(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text("[shaping.default]\nconnections = 1\n")
    with pytest.raises(ConfigError, match="a file of its own: name it in shaping_file"):
        load(tmp_path / "posthaste.toml", {})
    with pytest.raises(ConfigError, match="unknown setting POSTHASTE_SHAPING"):
        load(None, {"POSTHASTE_SHAPING": "1"})


RULE = '[[rule]]\nname = "r"\ncodes = [421]\nslow = true\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[site.yahoo]\nconnections = -1", "[site.yahoo] connections must be a whole number"),
        ("[site.yahoo]\nconnections = 1.5", "[site.yahoo] connections must be a whole number"),
        ('[site.yahoo]\nper_hour = "5"', "[site.yahoo] per_hour must be a whole number"),
        ("[default]\nper_second = nan", "[default] per_second must be a number from 0.001"),
        ("[default]\nper_second = inf", "[default] per_second must be a number from 0.001"),
        ("[default]\nconnections = true", "[default] connections must be a whole number"),
        ("[default]\nweight = 0", "[default] weight must be a whole number from 1 to 1,000"),
        ("[relay.gw]\nrecipients_per_transaction = 101", "must be a whole number from 1 to 100"),
        ("[default]\nper_hourr = 1", "unknown setting default.per_hourr"),
        ("[default]\nper_hourr = 1", "did you mean default.per_hour?"),
        ("[site.yahoo]\nmxx = 1", "did you mean site.mx?"),
        ("[sites.yahoo]\nmx = []", "unknown setting sites"),
        ("[site]\nyahoo = 5", "write [site.NAME]"),
        ("default = 5", "write [default]"),
        ("rule = 5", "write [[rule]]"),
        ("rule = [5]", "write [[rule]]"),
        ("[site.yaho]\nconnections = 5", "[site.yaho] mx is missing"),
        ("[site.yaho]\nconnections = 5", "did you mean yahoo?"),
        ('[site.Yours]\nmx = ["a.test"]', "[site.Yours] a name has lower-case letters"),
        ('[site.x]\nmx = "a.test"', "[site.x] mx must be a list of MX hosts"),
        ('[site.x]\nmx = ["*"]', "'*' is none"),
        ('[site.x]\nmx = ["*.test"]', "'*.test' is none"),
        ('[site.x]\nmx = ["mx.*.test"]', "'mx.*.test' is none"),
        ("[route.news]\nmessages_per_connection = 5", "messages_per_connection is for"),
        (RULE + RULE, "rule[1] (r) there is another rule of that name"),
        ("[[rule]]\nslow = true", "rule[0] name is missing"),
        (RULE + "codes = [250]", "not valid TOML"),
        (RULE.replace("421", "250"), "[rule r] codes must be a list of reply codes"),
        (RULE + 'enhanced = ["4.7"]', "[rule r] enhanced must be"),
        (RULE.replace("codes = [421]", 'enhanced = ["5.7.1"]'), "5.7.1 does not go with codes 4xx"),
        (RULE + 'enhanced = ["5.7.*"]', "5.7.* does not go with codes 421"),
        (f"a = {'[' * 5000}", "is nested too deeply"),
        (RULE + 'text = "(a"', "[rule r] text: is no regular expression"),
        (RULE + 'text = "(a+)+b"', "[rule r] text: could take very long"),
        (RULE + f'text = "{"a" * 401}"', "[rule r] text: an expression has 400 characters"),
        (RULE + 'sites = ["gogle"]', "sites: there is no [site.gogle]; did you mean google"),
        (RULE + "suspend_seconds = -1", "[rule r] suspend_seconds must be a number of seconds"),
        (RULE + "suspend_seconds = 86401", "[rule r] suspend_seconds must be a number of seconds"),
        (RULE.replace("slow = true", ""), "[rule r] it does nothing"),
        (RULE.replace("codes = [421]", ""), "[rule r] it does not say for which replies"),
        ('[[rule]]\nname = "rate-limited"\ntext = ""', "[rule rate-limited] it does not say"),
        ("connections =", "is not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_told_with_file_table_field_and_remedy(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        written(tmp_path, text)
    assert str(tmp_path / "shaping.toml") in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[relay.gv]\nconnections = 1",
            "[relay.gv] is no relay of posthaste.toml; did you mean gw",
        ),
        (
            "[route.new]\nper_day = 1",
            "[route.new] is no route of posthaste.toml; did you mean news",
        ),
    ],
)
def test_a_relay_or_route_that_is_not_there_is_told(tmp_path: Path, text: str, told: str) -> None:
    settings = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/shaping.toml: {told}")):
        outgoing_from(settings)
    with pytest.raises(ConfigError, match=r"there is no .*route.* at all"):
        outgoing_from(load(None, {"POSTHASTE_SHAPING_FILE": str(route_file(tmp_path))}))


def route_file(directory: Path) -> Path:
    """A file for a route, where there is none."""
    path = directory / "route.toml"
    path.write_text("[route.news]\nper_day = 1\n")
    return path


@pytest.mark.parametrize("text", ["", "# nothing\n", "[rule]\nname = 'a'\ncodes=[421]\nslow=true"])
def test_a_file_may_say_little(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, text).shaping.default == shaping_from(None).default
