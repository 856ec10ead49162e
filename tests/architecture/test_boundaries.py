"""The house's rules about imports, sizes and names, as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIERS = ("web", "workers", "shared")
MODULES = sorted(path for tier in TIERS for path in (ROOT / tier).rglob("*.py"))
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "handler", "handlers"}

# The only owners of what lies outside, with the reason for each beyond the first.
OWNERS = {
    "redis": ("shared/store/", "shared/broker.py"),  # The broker configures Dramatiq's client.
    "dramatiq": (
        "shared/broker.py", "shared/store/tickets.py", "workers/actors.py", "workers/main.py",
    ),
    "smtplib": (),
    "socket": (
        "workers/smtp/", "workers/main.py",  # A worker's id has the host's name in it.
        "shared/supervisor/", "web/inbox/",  # Whether ports are free, whether roles answer.
        "shared/metrics/server.py",  # Its listener's address family.
        "workers/dns/datagram.py",  # A question has a port of its own.
    ),
    "asyncio": (
        "workers/", "shared/store/connection.py",
        "shared/doctor/", "shared/cli/doctor.py",  # Checks wait for the network together.
    ),
    "dns": ("shared/doctor/", "workers/dns/servers.py"),
    "sentry_sdk": ("shared/sentry.py",),
    "flask": ("web/",),
}  # fmt: skip
ENVIRONMENT_READERS = {
    "shared/config.py",
    "shared/metrics/web.py",  # The library's multiprocess mode is told its directory there only.
    "shared/supervisor/installation.py",  # Children get this process's environment.
    "workers/main.py",  # Dramatiq reads its restart delay from the environment only.
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)} imports relatively"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    tier = _name(path).split("/")[0]
    allowed = {tier, "shared"}
    for module in _imports(path):
        top = module.split(".")[0]
        if top in TIERS:
            assert top in allowed, f"{_name(path)} imports {module}"
        owners = OWNERS.get(top)
        if owners is not None:
            assert _name(path).startswith(owners), f"{_name(path)} imports {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "shared/model").glob("*.py")), ids=_name)
def test_the_model_stands_alone(path: Path) -> None:
    for module in _imports(path):
        top = module.split(".")[0]
        known = top in sys.stdlib_module_names or top == "msgspec"
        assert known or module.startswith("shared.model"), f"{_name(path)} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_owners_read_the_environment(path: Path) -> None:
    if _name(path) in ENVIRONMENT_READERS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = node.value.id == "os" and node.attr in ("environ", "getenv")
            assert not read, f"{_name(path)} reads the environment"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_are_small_and_explained(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, f"{_name(path)} is too long: split it by responsibility"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{_name(path)} has no docstring"
    assert path.stem not in BANNED_NAMES
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno
            assert length <= 60, f"{_name(path)}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "shared/store/lua").glob("*.lua")), ids=_name)
def test_scripts_list_their_keys(path: Path) -> None:
    head = path.read_text().split("\n\n")[0]
    assert re.search(r"^-- KEYS", head, re.MULTILINE), f"{_name(path)} lists no keys"
    if path.stem != "prelude":
        assert head.startswith("#!lua")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def test_nothing_names_a_package_index_or_this_machine() -> None:
    pattern = re.compile(r"--(extra-)?index-url\s+\S*://|pypi\.org/simple|/home/\w+/|file:///")
    for path in _tracked():
        if path.suffix in (".png", ".ico") or path == Path(__file__) or not path.exists():
            continue
        found = pattern.search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{path.name}: {found and found[0]}"


def test_the_changelog_has_unreleased_on_top() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
