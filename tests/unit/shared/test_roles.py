"""A role alone refuses wrong settings before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from shared.cli.roles import bounces, web, worker
from shared.errors import ConfigError


@pytest.mark.parametrize("role", [web, worker, bounces])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[dkim]]\ndomain = 'not a domain'\n", "not a domain"),
        ("[[relay]]\nhost = 'a.test'\n[[relay]]\nhost = 'b.test'\n", "needs a name"),
        ("[[relay]]\nhots = 'a.test'\n", "relay.hots"),
    ],
)
def test_wrong_settings_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: object, text: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "posthaste.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        CliRunner().invoke(role, [], catch_exceptions=False)  # type: ignore[arg-type]
