"""classification.toml before what is shipped: how both are put together, and what is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shared.classification.classification import Classification
from shared.classification.file import SHIPPED, classification_from
from shared.config import load
from shared.errors import ConfigError
from shared.settings import Settings

SHIPPED_NAMES = [each["name"] for each in tomllib.loads(SHIPPED.read_text("utf-8"))["reply"]]
OURS = """
[[reply]]
name = "r"
codes = [550]
category = "policy"
scope = "recipient"
"""


def written(
    directory: Path, text: str, name: str = "classification.toml", more: str = ""
) -> Settings:
    """The settings of an installation with such a file."""
    (directory / "posthaste.toml").write_text(more)
    (directory / name).write_text(text)
    return load(directory / "posthaste.toml", {})


def test_without_a_file_what_is_shipped_applies(tmp_path: Path) -> None:
    (tmp_path / "posthaste.toml").write_text("")
    settings = load(tmp_path / "posthaste.toml", {})
    assert settings.classification == classification_from(None, [])
    assert [each.name for each in settings.classification.reply] == SHIPPED_NAMES
    assert settings.classification.path == ""


def test_new_rules_come_first_and_changed_ones_keep_their_place(tmp_path: Path) -> None:
    found = written(
        tmp_path, OURS + '[[reply]]\nname = "exchange-edge"\nsuppresses = false\n'
    ).classification
    assert [each.name for each in found.reply] == ["r", *SHIPPED_NAMES]
    (changed,) = [each for each in found.reply if each.name == "exchange-edge"]
    assert (changed.suppresses, changed.category) == (False, "mailbox_unknown")
    assert found.own == {"r", "exchange-edge"}
    assert found.path == str(tmp_path / "classification.toml")


def test_the_installations_rule_outweighs_every_shipped_one(tmp_path: Path) -> None:
    text = OURS + 'text = "user unknown"\noutcome = "deferral"\n'
    found = Classification(written(tmp_path, text)).of(550, "5.1.1", "User unknown")
    assert (found.outcome, found.category, found.rule) == ("deferral", "policy", "r")
    sure = OURS + 'text = "spam"\nsuppresses = true\n'
    assert Classification(written(tmp_path, sure)).of(550, "", "spam").suppresses, "it may"


def test_a_rule_can_be_turned_off(tmp_path: Path) -> None:
    settings = written(tmp_path, '[[reply]]\nname = "user-unknown"\nenabled = false\n')
    names = [each.name for each in settings.classification.reply]
    assert names == [name for name in SHIPPED_NAMES if name != "user-unknown"]


def test_a_site_that_is_turned_off_is_no_fault_of_a_shipped_rule(tmp_path: Path) -> None:
    (tmp_path / "shaping.toml").write_text("[site.gmx]\nenabled = false\n")
    assert "gmx-refused" in {each.name for each in written(tmp_path, OURS).classification.reply}


def test_a_file_is_found_beside_posthaste_toml_or_by_name(tmp_path: Path) -> None:
    named = written(tmp_path, OURS, "mine.toml", 'classification_file = "mine.toml"\n')
    assert named.classification.path == str(tmp_path / "mine.toml")
    variable = {"POSTHASTE_CLASSIFICATION_FILE": str(tmp_path / "mine.toml")}
    assert load(None, variable).classification.own == {"r"}
    (tmp_path / "posthaste.toml").write_text('classification_file = "gone.toml"\n')
    told = r"cannot read .*gone.toml: No such file.*classification_file"
    with pytest.raises(ConfigError, match=told):
        load(tmp_path / "posthaste.toml", {})
    (tmp_path / "posthaste.toml").write_text("[[classification.reply]]\n")
    with pytest.raises(ConfigError, match="a file of its own: name it in classification_file"):
        load(tmp_path / "posthaste.toml", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OURS + 'scop = "site"', "unknown setting reply.scop"),
        (OURS + 'scop = "site"', "did you mean reply.scope?"),
        ("[[replies]]\n", "unknown setting replies"),
        ("reply = 5", "write [[reply]]"),
        ("reply = [5]", "write [[reply]]"),
        ("[[reply]]\ncodes = [550]", "reply[0] name is missing"),
        (OURS + OURS, "reply[1] (r) there is another of that name"),
        (OURS.replace('"r"', '"R"'), "[reply R] a name has lower-case letters"),
        (OURS.replace("policy", "polcy"), "'polcy' is none; did you mean policy?"),
        (OURS.replace('category = "policy"', ""), "category must be one of mailbox_unknown"),
        (OURS.replace('"recipient"', '"all"'), "scope must be one of recipient, message"),
        (OURS + 'outcome = "bounced"', "'bounced' is none; did you mean bounce?"),
        (OURS + 'suppresses = "yes"', "[reply r] suppresses must be true or false"),
        (OURS.replace("550", "250"), "[reply r] codes must be a list of reply codes"),
        (OURS.replace("[550]", "550"), "[reply r] codes must be a list of reply codes"),
        (OURS + 'enhanced = ["5.1"]', "[reply r] enhanced must be a list of enhanced codes"),
        (OURS + 'providers = ["gogle"]', "has no [site.gogle]; did you mean google?"),
        (OURS + 'text = "(a+)+b"', "[reply r] text: could take very long"),
        (OURS + 'text = "(a"', "[reply r] text: is no regular expression"),
        (OURS.replace("codes = [550]", ""), "[reply r] it does not say which replies it is for"),
        (OURS.replace('"recipient"', '"site"') + "suppresses = true", "needs scope"),
        (OURS + 'suppresses = true\noutcome = "deferral"', "does not go with outcome"),
        ('[[reply]]\nname = "user-unknown"\nscope = "message"', "[reply user-unknown] suppresses"),
    ],
)
def test_what_is_wrong_is_told_with_file_rule_field_and_remedy(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as raised:
        written(tmp_path, text)
    assert "classification.toml" in str(raised.value)


def test_many_rules_that_could_take_long_together_are_refused(tmp_path: Path) -> None:
    def rules(count: int) -> str:
        one = OURS + 'text = "a.{0,50}b.{0,50}c"\n'
        return "".join(one.replace('"r"', f'"r{number}"') for number in range(count))

    written(tmp_path, rules(3))
    with pytest.raises(ConfigError, match="together could take very long"):
        written(tmp_path, rules(4))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('suppress = "maybe"', 'must be "on" or "off"'),
        ("suppress_days = -1", "suppress_days must be 0"),
        ("suppress_days = 40000", "suppress_days must be 0"),
    ],
)
def test_wrong_settings_of_suppression_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        written(tmp_path, "", more=f"[bounces]\n{text}\n")


def test_the_examples_of_the_readme_hold(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text("utf-8")
    section = readme[readme.index("\n## What replies mean\n") :].partition("\n## DKIM")[0]
    (example,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    found = Classification(written(tmp_path, example))
    edge: Any = found.of(
        550, "5.4.1", "Recipient address rejected: Access denied", provider="exchange-online"
    )
    assert (edge.rule, edge.suppresses) == ("exchange-edge", False)
    assert found.of(550, "5.2.0", "mailbox store not mounted").outcome == "deferral"
