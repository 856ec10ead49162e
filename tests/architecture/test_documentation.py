"""What must be written down, and that it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
from click.testing import CliRunner

from shared.accounts.failures import MOST_AN_HOUR
from shared.accounts.links import SECONDS
from shared.accounts.recovery import COUNT
from shared.accounts.throttle import FREE, LONGEST_WAIT_MS
from shared.accounts.user import MAY, ROLES, Permission
from shared.classification.checks import CATEGORIES
from shared.classification.settings import ReplySettings
from shared.cli.main import cli
from shared.cli.user import user
from shared.console_settings import ConsoleSettings
from shared.settings import Settings
from shared.shaping.settings import RelayShape, RouteShape, RuleSettings, SiteShape
from shared.store.records import MOST_AUDITED

ROOT = Path(__file__).parents[2]
SECTIONS = {
    field.name: kind
    for field in msgspec.structs.fields(Settings)
    for kind in (field.type, *get_args(field.type))
    if isinstance(kind, type)
    and issubclass(kind, msgspec.Struct)
    and field.name not in ("shaping", "classification")
}
SHAPING = sorted(
    {
        field.name
        for kind in (SiteShape, RelayShape, RouteShape, RuleSettings)
        for field in msgspec.structs.fields(kind)
    }
)
"""What stands in shaping.toml, a file of its own."""
REPLIES = sorted(field.name for field in msgspec.structs.fields(ReplySettings))
"""The same of classification.toml."""


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_in_the_readme(section: str) -> None:
    readme = (ROOT / "README.md").read_text()
    for field in msgspec.structs.fields(SECTIONS[section]):
        assert f"`{section}.{field.name}`" in readme


@pytest.mark.parametrize("name", SHAPING)
def test_every_field_of_shaping_is_in_the_readme(name: str) -> None:
    assert f"| `{name}` |" in _section("Shaping")


@pytest.mark.parametrize("name", REPLIES)
def test_every_field_of_classification_is_in_the_readme(name: str) -> None:
    assert f"| `{name}` |" in _section("What replies mean")


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_category_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in _section("What replies mean")


def _section(title: str) -> str:
    text = (ROOT / "README.md").read_text()
    return text[text.index(f"\n## {title}\n") :].partition("\n## ")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output


def test_the_readme_says_what_each_role_may_do() -> None:
    rows = [line for line in _section("The console").splitlines() if line.startswith("|")]
    head = next(line for line in rows if "| reader |" in line)
    roles = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert sorted(roles) == sorted(ROLES)
    told: dict[str, set[str]] = {}
    for line in rows:
        found = re.match(r"\| `(\w+)`: [^|]+\|(.*)\|$", line)
        if found:
            cells = [cell.strip() for cell in found[2].split("|")]
            told[found[1]] = {
                role for role, cell in zip(roles, cells, strict=True) if cell == "yes"
            }
    assert told == {
        permission: {role for role in ROLES if permission in MAY[role]}
        for permission in get_args(Permission)
    }


def test_the_readme_has_the_figures_of_signing_in() -> None:
    text = _section("The console")
    console = ConsoleSettings()
    assert f"have {console.password_min_length} characters when they stand alone" in text
    assert f"{console.password_min_length_two_factor} with an authenticator app" in text
    words = {5: "five", 10: "ten"}
    assert f"{words[FREE]} at once" in text
    assert f"up to {LONGEST_WAIT_MS // 60_000} minutes" in text
    assert f"{words[COUNT]} recovery codes" in text
    for seconds in SECONDS.values():
        assert f"for {seconds // 3600} hours" in text or f"for {seconds // 60} minutes" in text
    assert f"{MOST_AUDITED:,} entries" in text
    assert f"{MOST_AN_HOUR} an hour" in text
    listed = (ROOT / "shared/accounts/common_passwords.txt").read_text("utf-8").count("\n")
    assert f"(a list of {listed:,} comes with it)" in text


@pytest.mark.parametrize("name", sorted(user.commands))
def test_the_readme_shows_every_command_about_users(name: str) -> None:
    assert f"$ posthaste user {name} " in _section("The console").replace("\n", " ")


OPERATOR_MODULES = {
    "shared.cli.aside", "shared.cli.destinations", "shared.cli.message", "shared.cli.quota",
    "shared.cli.shaping", "shared.cli.classify", "shared.cli.move", "shared.cli.limit",
    "shared.cli.destination_table", "shared.cli.stats", "shared.cli.returns",
}  # fmt: skip


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that operators have."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        elif command.callback is not None and command.callback.__module__ in OPERATOR_MODULES:
            yield *path, name


OPERATOR_COMMANDS = sorted(_commands(cli))


def test_operators_have_these_commands() -> None:
    names = {words[0] for words in OPERATOR_COMMANDS}
    assert names == {
        "queue", "message", "suspend", "resume", "flush", "dead", "uncertain", "quota", "shaping",
        "move", "limit", "destinations", "classify", "stats", "returns",
    }  # fmt: skip


@pytest.mark.parametrize("words", OPERATOR_COMMANDS, ids=" ".join)
def test_every_operator_command_has_json_an_example_and_exit_codes(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*words, "--help"]).output
    assert "--json" in shown
    assert f"Example: posthaste {' '.join(words)}" in shown
    assert "Exit codes: 0 done; 1 " in shown
    assert f"`posthaste {words[0]}" in (ROOT / "README.md").read_text()
