"""`posthaste dkim`: keys are made once, kept private, and shown as records."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from shared.cli.dkim import dkim
from shared.config import load
from shared.dkim import keys_from
from shared.errors import ConfigError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(dkim, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(("algorithm", "letter"), [("rsa", "s"), ("ed25519", "e")])
def test_generate_then_show(tmp_path: Path, algorithm: str, letter: str) -> None:
    output = run("generate", "Example.COM", "--algorithm", algorithm, "--directory", str(tmp_path))
    (file,) = tmp_path.glob("*.pem")
    assert file.name.startswith(letter)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE" not in output
    settings = output[output.index("[[dkim]]") :]
    (tmp_path / "posthaste.toml").write_text(settings)
    (key,) = keys_from(load(tmp_path / "posthaste.toml", {}).dkim)["example.com"]
    assert key.kind == algorithm
    assert f"{key.record_name}\n{key.record}\n" in output
    shown = run("show", "example.com", "--home", str(tmp_path))
    assert shown.strip() in output
    (row,) = json.loads(run("show", "--home", str(tmp_path), "--json"))
    assert (row["name"], row["record"]) == (key.record_name, key.record)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    arguments = ["generate", "example.com", "--selector", "s1", "--directory", str(tmp_path)]
    run(*arguments)
    before = (tmp_path / "s1.example.com.pem").read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        run(*arguments)
    assert (tmp_path / "s1.example.com.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "not a domain"], "not a domain"),
        (["generate", "example.com", "--selector", "A B"], "selector"),
        (["show", "example.com", "--home", "."], "no key is configured for example.com"),
    ],
)
def test_wrong_input_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "posthaste.toml").write_text("")
    with pytest.raises(ConfigError, match=words):
        run(*arguments)
    assert not list(tmp_path.glob("*.pem"))
