"""`python -m shared.healthcheck [ROLE]`: whether this container's role is alive; 0 or 1.

The image has one health check and several roles, so without an argument the role is read from the
command line of the container's first process. It asks /livez at the role's own listener. A role
that listens nowhere is alive as long as its container is.
"""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

from shared.config import host_and_port, load
from shared.errors import ConfigError
from shared.settings import Settings

TIMEOUT_SECONDS = 4.0

MARKS = {
    "web.wsgi:application": "web",
    "workers.main": "worker",
    "workers.returns.main": "bounces",
    "shared.exporter": "exporter",
    "web.inbox": "inbox",
}
"""What stands in the command line of each role, before or after it has taken its process."""


def role_of(command: list[str]) -> str:
    """The role that a command line runs; empty when it runs none."""
    for word in command:
        if word in MARKS:
            return MARKS[word]
        if word in MARKS.values():
            return word
    return ""


def listener(settings: Settings, role: str) -> str:
    """Where a role answers /livez, as host:port; empty when nowhere."""
    section = getattr(settings, role)
    if role in ("web", "bounces"):  # What they listen on is for others.
        return str(section.operator_listen)
    return str(getattr(section, "listen", ""))


def alive(address: str) -> bool:
    """Whether /livez says 200."""
    host, port = host_and_port(address, "listen")
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(here, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """The entry of the check; says why when it fails."""
    command = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")
    role = arguments[0] if arguments else role_of(command)
    if role not in MARKS.values():
        sys.stderr.write(f"healthcheck: name the role: {', '.join(MARKS.values())}\n")
        return 1
    try:
        address = listener(load(), role)
        if not address or alive(address):
            return 0
    except ConfigError as error:
        sys.stderr.write(f"healthcheck: {error}\n")
        return 1
    sys.stderr.write(f"healthcheck: {role} does not answer /livez on {address}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
