"""Reading `shaping.toml`: the shipped `providers.toml`, and the installation's file over it.

`shaping_from` gives both together, checked. Entries of one name are put together field by field and
keep their place; what is new in the installation's file is asked before what is shipped. A wrong
entry is a `ConfigError` that names file, table, field and remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared.errors import ConfigError
from shared.setting_names import check_names
from shared.shaping.checks import MEANT, check_name, check_rule, check_shape, check_site
from shared.shaping.settings import (
    RelayShape,
    RouteShape,
    RuleSettings,
    ShapingFile,
    ShapingSettings,
    SiteShape,
    TableShape,
)
from shared.toml_file import read_toml

SHIPPED = Path(__file__).with_name("providers.toml")

_Table = TypeVar("_Table", bound=msgspec.Struct)
_Values = dict[str, Any]


def shaping_from(path: Path | None) -> ShapingSettings:
    """The shipped figures and rules with those of a file over them. Raises `ConfigError`."""
    return _shipped() if path is None else _put_together(_read(path), str(path))


@lru_cache(maxsize=1)
def _shipped() -> ShapingSettings:
    return _put_together({}, "")


@lru_cache(maxsize=1)
def _shipped_tables() -> _Values:
    """As TOML has them; not to be changed."""
    return _read(SHIPPED)


def _read(path: Path) -> _Values:
    """A file's tables, their names and kinds checked."""
    values = read_toml(path, "shaping_file")
    check_names(values, ShapingFile, str(path), "")
    if isinstance(values.get("rule"), dict):  # `[rule]` is a list of one.
        values["rule"] = [values["rule"]]
    _check_kinds(path, values)
    return values


def _check_kinds(path: Path, values: _Values) -> None:
    """That tables are tables, and rules a list of them."""
    for name in ("site", "relay", "route"):
        tables = values.get(name, {})
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            raise ConfigError(f"{path}: write [{name}.NAME], and the fields below it")
    if not isinstance(values.get("default", {}), dict):
        raise ConfigError(f"{path}: write [default], and the fields below it")
    rules = values.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(f"{path}: write [[rule]], and the fields below it")


def _put_together(own: _Values, path: str) -> ShapingSettings:
    """Both files as one value. `own` is the installation's, `path` its name for errors."""
    shipped = _shipped_tables()
    sites = _sites(path, shipped.get("site", {}), own.get("site", {}))
    return ShapingSettings(
        default=_figures(
            path, "default", shipped.get("default", {}) | own.get("default", {}), TableShape
        ),
        site={name: site for name, site in sites.items() if site.enabled},
        relay={
            name: _figures(path, f"relay.{name}", values, RelayShape)
            for name, values in own.get("relay", {}).items()
        },
        route={
            name: _figures(path, f"route.{name}", values, RouteShape)
            for name, values in own.get("route", {}).items()
        },
        rule=_all_rules(path, shipped.get("rule", []), own.get("rule", []), sites),
        path=path,
        own=frozenset(_said(own)),
    )


def _sites(path: str, shipped: _Values, own: _Values) -> dict[str, SiteShape]:
    found = {}
    new = {name: values for name, values in own.items() if name not in shipped}
    changed = {name: values | own.get(name, {}) for name, values in shipped.items()}
    for name, values in (new | changed).items():
        site = found[name] = _figures(path, f"site.{name}", values, SiteShape)
        try:
            check_name(name)
            check_site(name, site, shipped)
        except ConfigError as error:
            raise ConfigError(f"{path or SHIPPED}: [site.{name}] {error}") from error
    return found


def _all_rules(
    path: str, shipped: list[_Values], own: list[_Values], sites: Mapping[str, SiteShape]
) -> tuple[RuleSettings, ...]:
    """The rules that are not turned off, in the order in which they are asked."""
    mine: dict[str, _Values] = {}
    for index, values in enumerate(own):
        name = str(values.get("name", ""))
        if not name or name in mine:
            what = f" ({name}) there is another rule of that name" if name else " name is missing"
            raise ConfigError(f"{path}: rule[{index}]{what}: give each rule one")
        mine[name] = values
    known = {str(values["name"]): values for values in shipped}
    new = {name: values for name, values in mine.items() if name not in known}
    changed = {name: values | mine.get(name, {}) for name, values in known.items()}
    found = []
    for name, values in (new | changed).items():
        rule = _converted(path, f"rule {name}", values, RuleSettings)
        try:
            check_name(name)
            check_rule(rule, sites)
        except ConfigError as error:
            raise ConfigError(f"{path or SHIPPED}: [rule {name}] {error}") from error
        found.append(rule)
    return tuple(rule for rule in found if rule.enabled)


def _figures(path: str, where: str, values: _Values, kind: type[_Table]) -> _Table:
    shape = _converted(path, where, values, kind)
    try:
        check_shape(shape)  # type: ignore[arg-type]  # Each of these kinds is a `Shape`.
    except ConfigError as error:
        raise ConfigError(f"{path or SHIPPED}: [{where}] {error}") from error
    return shape


def _converted(path: str, where: str, values: _Values, kind: type[_Table]) -> _Table:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        _, _, place = str(error).partition(" - at `$.")
        field = place.rstrip("`").partition("[")[0]
        meant = MEANT.get(field, "text")
        raise ConfigError(f"{path or SHIPPED}: [{where}] {field} must be {meant}") from error


def _said(own: _Values) -> list[tuple[str, str, str]]:
    """(table, name, field) of all that the installation's file says."""
    tables = [("default", "", own.get("default", {}))]
    for table in ("site", "relay", "route"):
        tables += [(table, name, values) for name, values in own.get(table, {}).items()]
    tables += [("rule", str(values["name"]), values) for values in own.get("rule", [])]
    return [(table, name, field) for table, name, values in tables for field in values]
