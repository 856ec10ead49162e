"""The console's routes as a browser meets them: which rule an address falls under, and what a page
leads to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.support.console import ConsoleApi
from web.console.pages import Rule

_NAMED = re.compile(r"<(?:(any|path)(?:\(([^)]*)\))?:)?(\w+)>")
_LINKS = re.compile(r'(href|src|action|hx-get|hx-post|data-live)="(/console/[^"]*)"')


def all_rules() -> list[Rule]:
    """Every route of the console."""
    console = ConsoleApi()
    found = list(console.pages.rules.values())
    console.close()
    return sorted(found, key=lambda rule: (rule.path.count("<"), rule.path, rule.method))


RULES = all_rules()
"""Those without a name in their path first, so that the first one that fits is right."""


def named(rule: Rule) -> list[str]:
    """The names in its path."""
    return [each[2] for each in _NAMED.findall(rule.path)]


def filled(rule: Rule, values: dict[str, str]) -> str:
    """Its path, with values for the names."""
    return _NAMED.sub(lambda found: values[found[3]], rule.path)


def _pattern(rule: Rule) -> re.Pattern[str]:
    def one(found: re.Match[str]) -> str:
        kind, choices, name = found.groups()
        inner = choices.replace(",", "|") if choices else (".+" if kind == "path" else "[^/]+")
        return f"(?P<{name}>{inner})"

    return re.compile(_NAMED.sub(one, rule.path) + r"\Z")


_PATTERNS = [(rule, _pattern(rule)) for rule in RULES]


def rule_of(method: str, address: str) -> tuple[Rule, dict[str, str]] | None:
    """The rule of an address below /console, and what it names; None: a file, or nothing at all."""
    path = urlsplit(address).path
    for rule, pattern in _PATTERNS:
        found = pattern.match(path)
        if rule.method == method and found and rule.path != "/<path:rest>":
            return rule, found.groupdict()
    return None


def links(page: str) -> list[tuple[str, str]]:
    """Method and address (below /console) of all that this HTML leads to or asks for."""
    found = []
    for attribute, address in _LINKS.findall(page):
        method = "POST" if attribute in ("action", "hx-post") else "GET"
        found.append((method, address.replace("&amp;", "&").removeprefix("/console")))
    return found
