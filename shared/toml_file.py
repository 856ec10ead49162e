"""A TOML file's values. What cannot be read, or is no TOML, is a `ConfigError` with its path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from shared.errors import ConfigError


def read_toml(path: Path, setting: str = "") -> dict[str, Any]:
    """The values of a file, which `setting` names. Raises `ConfigError`."""
    named = f" ({setting})" if setting else ""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError(f"cannot read {path}: it is no file{named}")  # A pipe never ends.
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}{named}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply") from error
