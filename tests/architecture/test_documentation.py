"""What must be written down, and that it is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from shared.cli.main import cli
from shared.config import Settings

ROOT = Path(__file__).parents[2]
SECTIONS = [
    field
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: str(section.name))
def test_every_setting_is_in_the_readme(section: msgspec.structs.FieldInfo) -> None:
    readme = (ROOT / "README.md").read_text()
    for field in msgspec.structs.fields(section.type):
        assert f"`{section.name}.{field.name}`" in readme


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
