"""Names in files of settings: what is unknown is told with the nearest name that is known. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from shared.errors import ConfigError


def section_of(kind: Any) -> type[Any] | None:
    """The struct behind a field's type: a section, a list of them, or a table by name."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def check_names(values: Mapping[str, Any], kind: type[Any], source: str, prefix: str) -> None:
    """Raise `ConfigError` for a name that `kind` does not have, with the nearest one it does."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(
                unknown(f"{prefix}{name}", [prefix + each for each in fields], source)
            )
        section = section_of(fields[name].type)
        if section is None:
            continue
        by_name = get_origin(fields[name].type) is dict
        entries = value.values() if by_name and isinstance(value, dict) else [value]
        for entry in value if isinstance(value, list) else entries:
            if isinstance(entry, dict):
                check_names(entry, section, source, f"{prefix}{name}.")


def unknown(name: str, known: list[str], source: str) -> str:
    """What to say of a name that is not known."""
    return f"unknown setting {name} in {source}{nearest(name, known)}"


def nearest(name: str, known: list[str]) -> str:
    """The end of such a sentence: the name that was meant, or all there are."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
