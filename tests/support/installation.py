"""A `posthaste up` of one test or benchmark, in a temporary home, stopped at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def installation(*options: str, settings: str = "", shaping: str = "") -> Iterator[dict[str, Any]]:
    """Start it detached; gives what up.json says, `home`, and `said`: what it printed."""
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as directory:
        home = Path(directory)
        if settings:
            (home / "posthaste.toml").write_text(settings)
        if shaping:
            (home / "shaping.toml").write_text(shaping)
        command = [sys.executable, "-m", "shared.cli.main"]
        with tempfile.TemporaryFile("w+") as printed:  # Not a pipe: what is detached keeps it.
            subprocess.run(
                [*command, "up", "--home", directory, "--http", "0", "--detach", *options],
                check=True,
                stdout=printed,
            )
            printed.seek(0)
            said = printed.read()
        try:
            facts: dict[str, Any] = json.loads((home / "up.json").read_text())
            yield {**facts, "home": home, "said": said}
        finally:
            subprocess.run(
                [*command, "down", "--home", directory], check=True, stdout=subprocess.DEVNULL
            )
