"""What the figures were measured on: the head of a run's output."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

from shared.embedded import server_binary

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
_LIBRARIES = ("cryptography", "dramatiq", "flask", "gunicorn", "redis", "hiredis", "msgspec")


def _first(path: str, pattern: str, missing: str = "unknown") -> str:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return missing
    return found[1] if found else missing


def _version(*command: str, pattern: str = r"([\w.~+-]*\d\.[\w.~+-]+)") -> str:
    binary = shutil.which(command[0], path=_PATH)
    if binary is None:
        return "not installed"
    answer = subprocess.run(
        [binary, *command[1:]], capture_output=True, text=True, timeout=10, check=False
    )
    found = re.search(pattern, answer.stdout + answer.stderr)
    return found[1] if found else "unknown"


def _sync_micros() -> float:
    """What one appended block of 4 KB costs until it is on the disk that the stores use."""
    took = []
    with tempfile.TemporaryFile(prefix="ph-bench-", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def _memory_gb() -> float:
    return int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0")) / 2**20


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _servers() -> str:
    store = _version(str(server_binary()), "--version")
    postfix, opendkim = _version("postconf", "mail_version"), _version("opendkim", "-V")
    return f"store {store} (appendfsync always), Postfix {postfix}, OpenDKIM {opendkim}"


def head() -> list[str]:
    """Machine, versions and the load at the start."""
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio's own (no uvloop)"
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    model = _first("/proc/cpuinfo", r"^model name\s*: (.*)$")
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    return [
        f"{model}, {_cores()} cores, {_memory_gb():.1f} GB, Linux {platform.release()}",
        f"Python {sys.version.split()[0]}, event loop {loop}, {backend.openssl_version_text()}",
        libraries,
        _servers(),
        f"a synced write of 4 KB in {tempfile.gettempdir()} takes {_sync_micros():,.0f} us",
        f"load average at the start: {load}",
    ]
