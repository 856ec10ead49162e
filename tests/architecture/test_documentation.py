"""What must be written down, and that it is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner

from shared.cli.main import cli
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
SECTIONS = {
    field.name: kind
    for field in msgspec.structs.fields(Settings)
    for kind in (field.type, *get_args(field.type))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_in_the_readme(section: str) -> None:
    readme = (ROOT / "README.md").read_text()
    for field in msgspec.structs.fields(SECTIONS[section]):
        assert f"`{section}.{field.name}`" in readme


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
