"""The image is built from the lock's own pins, without what only builds or only runs locally."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def _entries(path: str) -> dict[str, str]:
    """Name -> its whole entry, hashes included."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    return {
        found[1]: entry
        for entry in re.split(r"\n(?=[a-z0-9])", text.strip())
        if (found := PIN.match(entry))
    }


def test_the_image_has_the_locks_pins_and_hashes() -> None:
    image, lock = _entries("deploy/requirements.txt"), _entries("requirements.txt")
    assert image
    for name, entry in image.items():
        assert entry.strip() == lock[name].strip(), f"{name}: make lock"


def test_the_image_has_every_dependency_and_nothing_that_builds_or_embeds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = _entries("deploy/requirements.txt")
    named = {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    assert named <= set(image)
    extras = project["optional-dependencies"]
    only = {re.split(r"[<>=\[]", each)[0] for group in extras.values() for each in group}
    assert not only & set(image)


def test_the_wheel_has_every_file_that_is_read_beside_the_code(tmp_path: Path) -> None:
    """Scripts of the store, templates, `providers.toml`: what no import would miss."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    there = {
        str(path.relative_to(ROOT))
        for package in ("shared", "web", "workers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "shared/shaping/providers.toml" in packed
    assert there <= packed
