"""What must be written down, and that it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
from click.testing import CliRunner

from shared.classification.checks import CATEGORIES
from shared.classification.settings import ReplySettings
from shared.cli.main import cli
from shared.settings import Settings
from shared.shaping.settings import RelayShape, RouteShape, RuleSettings, SiteShape

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
