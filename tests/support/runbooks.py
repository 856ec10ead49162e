"""The commands of runbooks: blocks marked `sh run`, and the shell they are run in.

A command that fails ends its block. `ask` fails when there is no such series.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^( *)```sh run\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

_SHELL = """
set -eu
posthaste() { "$PYTHON" -m shared.cli.main "$@"; }
ask() { promtool query instant "$PROMETHEUS" "$1" | grep .; }
store() { redis-cli -s "$SOCKET" "$@"; }
logs() { cat "$LOGS/$1"*.log; }
"""


def blocks(path: Path) -> list[str]:
    """The blocks of a page that a test runs, in order."""
    return [textwrap.dedent(text) for _, text in _BLOCK.findall(path.read_text(encoding="utf-8"))]


def _may_print_nothing(commands: str) -> str:
    """Where a page says `# Nothing: ...`, no answer is one; elsewhere `ask` must have some."""
    return re.sub(r"(\s+# Nothing: )", r" || true\1", commands)


@dataclass
class Shell:
    """A shell with the names that `deploy/runbooks/README.md` gives, on a system of a test."""

    home: Path
    redis_url: str
    prometheus: str
    api: str

    def run(self, commands: str, identifier: str) -> subprocess.CompletedProcess[str]:
        """Run a block; `identifier` is what it calls ID."""
        environment = {
            "POSTHASTE_CONFIG": str(self.home / "posthaste.toml"),
            "POSTHASTE_STORE_REDIS_URL": self.redis_url,
            "POSTHASTE_FEEDBACK_KEY_FILE": str(self.home / "feedback-key"),
            "PYTHON": sys.executable,
            "PROMETHEUS": self.prometheus,
            "SOCKET": self.redis_url.removeprefix("unix://"),
            "LOGS": str(self.home / "log"),
            "API": self.api,
            "ID": identifier,
        }
        return subprocess.run(
            ["bash", "-c", _SHELL + _may_print_nothing(commands)], env=os.environ | environment,
            capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False,
        )  # fmt: skip
