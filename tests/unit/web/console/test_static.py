"""What pages are made of: nothing from elsewhere, nothing inline, colours that can be read."""

from __future__ import annotations

import hashlib
import re
from itertools import product
from pathlib import Path

import pytest

from tests.support.console import URL, ConsoleApi
from web.console import show

WEB = Path(show.__file__).parent.parent
CONSOLE, INBOX = WEB / "console", WEB / "inbox"
VENDOR = CONSOLE / "static" / "vendor"
TEMPLATES = sorted(
    path for folder in (CONSOLE, INBOX) for path in (folder / "templates").rglob("*.html")
)
OURS = sorted(
    path
    for folder in (CONSOLE, INBOX)
    for path in (folder / "static").rglob("*")
    if path.is_file() and VENDOR not in path.parents
)
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
_LOADS = re.compile(
    r"""(?:\b(?:src|srcset|href|action|formaction|poster|data|content|hx-[a-z]+)\s*=\s*["']?"""
    r"""|url\(\s*["']?|@import\s*["']?|["'`(])\s*(?:https?:)?//""",
    re.IGNORECASE,
)
_NEVER = {
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)[^>]*>|<script[^>]*>\s*[^<\s]", re.I),
    "an event handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.I),
    "an inline style": re.compile(r"<style|<[^>{]*\sstyle\s*=", re.I),
    "what htmx would evaluate": re.compile(r"hx-on|\bjs:|javascript:|hx-trigger=\"[^\"]*\[", re.I),
    "unescaped text": re.compile(r"\|\s*safe\b|autoescape|Markup"),
}


def _shown(path: Path) -> str:
    """Without comments, which no browser sees."""
    return re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_b23_templates_have_nothing_inline_and_escape_everything(path: Path) -> None:
    for what, pattern in _NEVER.items():
        found = pattern.search(_shown(path))
        assert found is None, f"{what}: {found and found[0]}"


@pytest.mark.parametrize("path", [*TEMPLATES, *OURS], ids=lambda path: path.name)
def test_b24_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    found = _LOADS.search(_shown(path).replace(_NAMESPACE, ""))
    assert found is None, found and found[0]


def test_b23_no_view_marks_text_as_safe() -> None:
    for path in CONSOLE.rglob("*.py"):
        assert "Markup" not in path.read_text(), path


def test_files_of_others_are_as_their_packages_have_them() -> None:
    rows = re.findall(
        r"^\| (\S+) \| \S+.*? \| ([\d.]+) \| \S+ \((\S+)\) \| ([0-9a-f]{64}) \|$",
        (VENDOR / "README.md").read_text(),
        re.MULTILINE,
    )
    told = {name: digest for name, _, _, digest in rows}
    licences = {licence for _, _, licence, _ in rows}
    found = {path.name for path in VENDOR.iterdir()} - {"README.md"}
    assert found == set(told) | licences
    for name, digest in told.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_pages_name_static_files_by_their_version_only() -> None:
    for path in (CONSOLE / "templates").rglob("*.html"):
        text = _shown(path)
        assert "console/static" not in text, path
        for tag in re.findall(r"<(?:link|script|img)\b[^>]*>", text):
            assert re.search(r"(?:href|src)=\"\{\{", tag), f"{path}: {tag}"
        for name in re.findall(r"asset\('([^']+)'\)", text):
            assert (show.STATIC / name).is_file(), f"{path}: {name}"


def test_a_static_file_is_kept_for_good_by_its_version_only(console: ConsoleApi) -> None:
    client = console.browser().client
    for address, kept in (
        (show.asset("console.css"), "immutable"),
        ("/console/static/console.css", "no-cache"),
        ("/console/static/console.css?v=0123456789ab", "no-cache"),
        ("/console/static/none.css?v=0123456789ab", "no-cache"),
    ):
        with client.get(address, base_url=URL) as answer:
            assert kept in answer.headers["Cache-Control"], address
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_static_file_signs_nobody_out(console: ConsoleApi) -> None:
    browser = console.signed_in()
    with browser.client.get(show.asset("console.css"), base_url=URL) as answer:
        assert "Set-Cookie" not in answer.headers
    assert browser.get("/").status_code == 200


def test_an_error_of_a_part_is_a_part(console: ConsoleApi) -> None:
    browser = console.signed_in()
    whole = browser.get("/no/such/page").text
    part = browser.get("/no/such/page", headers={"HX-Request": "true"}).text
    assert "<html" in whole
    assert "<html" not in part
    for text in (whole, part):
        assert "data-detail" in text
        assert "There is no such page." in text


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(dark: bool) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (show.STATIC / "console.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[1 if dark else 0]))
    grounds = ("paper", "ground", "faint")
    texts = [
        *product(("ink", "soft", "accent", "bad", "ok", "warn"), grounds),
        *product(("ink", "soft", "accent"), ("tint",)),
        ("ok", "ok-tint"), ("warn", "warn-tint"), ("bad", "bad-tint"),
        ("ink", "ok-tint"), ("ink", "warn-tint"), ("ink", "bad-tint"),
        ("accent-strong", "paper"), ("accent-strong", "ground"),
        ("on-accent", "accent"), ("on-accent", "accent-strong"), ("on-bad", "bad"),
    ]  # fmt: skip
    for text, ground in texts:
        assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for ground in ("paper", "ground"):
        assert _contrast(colours["edge"], colours[ground]) >= 3, ground
