"""Reading `classification.toml`: the shipped `replies.toml`, and the installation's file over it.

`classification_from` gives both together, checked. Entries of one name are put together field by
field and keep their place; what is new in the installation's file is asked before what is shipped.
A wrong entry is a `ConfigError` that names file, entry, field and remedy. `statuses` is the other
shipped table: what codes mean by themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from shared.classification.checks import MEANT, check_name, check_reply
from shared.classification.settings import (
    ClassificationFile,
    ClassificationSettings,
    ReplySettings,
    StatusSettings,
)
from shared.errors import ConfigError
from shared.setting_names import check_names
from shared.shaping.pattern import ways
from shared.toml_file import read_toml

SHIPPED = Path(__file__).with_name("replies.toml")
STATUSES = Path(__file__).with_name("statuses.toml")
MOST_WAYS = 10_000
"""Of all expressions of the installation together, as `shared.shaping.pattern` counts: over one
reply made to be slow they then take some 100 ms at most."""

_Values = dict[str, Any]


def classification_from(path: Path | None, sites: Collection[str]) -> ClassificationSettings:
    """The shipped entries with those of a file before and over them. Raises `ConfigError`.

    `sites` are the names of shaping's `[site.NAME]`.
    """
    if path is None:
        return _shipped()
    own = _own(path)
    known = _shipped_entries()
    new = {name: values for name, values in own.items() if name not in known}
    changed = {name: values | own.get(name, {}) for name, values in known.items()}
    found = [_reply(path, name, values) for name, values in (new | changed).items()]
    for reply in found:
        if reply.name in own:  # A site that is turned off is no fault of what is shipped.
            _checked(path, reply, sites)
    _check_ways(path, [reply for reply in found if reply.name in own])
    return ClassificationSettings(
        tuple(reply for reply in found if reply.enabled), str(path), frozenset(own)
    )


@lru_cache(maxsize=1)
def statuses() -> tuple[StatusSettings, ...]:
    """What codes mean by themselves."""
    return msgspec.convert(read_toml(STATUSES)["status"], tuple[StatusSettings, ...])


@lru_cache(maxsize=1)
def _shipped() -> ClassificationSettings:
    entries = _shipped_entries().items()
    return ClassificationSettings(tuple(_reply(SHIPPED, name, values) for name, values in entries))


@lru_cache(maxsize=1)
def _shipped_entries() -> dict[str, _Values]:
    """As TOML has them, by name; not to be changed."""
    return {str(values["name"]): values for values in read_toml(SHIPPED)["reply"]}


def _own(path: Path) -> dict[str, _Values]:
    """The installation's entries by name, their fields known."""
    values = read_toml(path, "classification_file")
    check_names(values, ClassificationFile, str(path), "")
    entries = values.get("reply", [])
    if isinstance(entries, dict):  # `[reply]` is a list of one.
        entries = [entries]
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ConfigError(f"{path}: write [[reply]], and the fields below it")
    found: dict[str, _Values] = {}
    for index, entry in enumerate(entries):
        name = str(entry.get("name", ""))
        if not name or name in found:
            what = f" ({name}) there is another of that name" if name else " name is missing"
            raise ConfigError(f"{path}: reply[{index}]{what}: give each entry one")
        found[name] = entry
    return found


def _reply(path: Path, name: str, values: _Values) -> ReplySettings:
    try:
        return msgspec.convert(values, ReplySettings)
    except msgspec.ValidationError as error:
        _, _, place = str(error).partition(" - at `$.")
        field = place.rstrip("`").partition("[")[0]
        meant = MEANT.get(field, "text")
        raise ConfigError(f"{path}: [reply {name}] {field} must be {meant}") from error


def _checked(path: Path, reply: ReplySettings, sites: Collection[str]) -> None:
    try:
        check_name(reply.name)
        check_reply(reply, sites)
    except ConfigError as error:
        raise ConfigError(f"{path}: [reply {reply.name}] {error}") from error


def _check_ways(path: Path, replies: list[ReplySettings]) -> None:
    if sum(ways(reply.text) for reply in replies if reply.enabled) > MOST_WAYS:
        raise ConfigError(
            f"{path}: its expressions together could take very long on some replies: have fewer"
            r" of them, or let less repeat, such as .{0,20} for .{0,200}"
        )
