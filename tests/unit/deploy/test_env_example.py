""".env.example names every setting, with its default and a line of meaning, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.config import _variables, load
from shared.outgoing_settings import DkimSettings, RelaySettings, RouteSettings
from shared.settings import Settings

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / ".env.example").read_text().splitlines()
LINE = re.compile(r"#([A-Z][A-Z0-9_]*)=(.*)")
GIVEN = {found[1]: found[2] for line in EXAMPLE if (found := LINE.fullmatch(line))}
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def _default(path: tuple[str, ...]) -> Any:
    """What a setting is when nobody sets it; of a list, in an entry that is empty."""
    entries: dict[str, Any] = {
        "relay": RelaySettings(),
        "dkim": DkimSettings(),
        "route": RouteSettings(),
    }
    value: Any = Settings()
    for at, name in enumerate(path):
        value = entries[name] if at == 0 and name in entries else getattr(value, name)
    return value


@pytest.mark.parametrize("name", sorted(_variables()))
def test_every_setting_is_there_with_its_default(name: str) -> None:
    assert name in GIVEN, f"{name} is not in .env.example"
    default, text = _default(_variables()[name]), GIVEN[name]
    if isinstance(default, tuple):
        kind = type(default[0]) if default else str
        assert tuple(kind(part) for part in text.split(",") if part) == default
    elif isinstance(default, str):
        assert text == default
    else:
        assert msgspec.convert(text, type(default), strict=False) == default


def test_it_names_nothing_unknown() -> None:
    settings = {name for name in GIVEN if name.startswith("POSTHASTE_")}
    assert settings == set(_variables())
    interpolated = set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", COMPOSE))
    interpolated.remove("ENV_FILE")  # Another .env, for deploy/smoke.sh.
    others = set(GIVEN) - settings
    assert others == {name for name in interpolated if not name.startswith("POSTHASTE_")}
    assert interpolated - others <= settings


def test_every_line_has_its_meaning_before_it_and_sets_nothing() -> None:
    names: list[str] = []
    for at, line in enumerate(EXAMPLE):
        assert not line or line.startswith("#"), f"line {at + 1} is not commented"
        found = LINE.fullmatch(line)
        if found:
            names.append(found[1])
            above = EXAMPLE[at - 1]
            assert above.startswith("# ") or LINE.fullmatch(above), f"{found[1]} has no meaning"
            if found[1].startswith("POSTHASTE_"):
                assert above.startswith("# "), f"{found[1]} has no meaning of its own"
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(name for name in GIVEN if name.startswith("POSTHASTE_")))
def test_a_line_without_its_mark_is_accepted(name: str) -> None:
    load(environment={name: GIVEN[name]})
