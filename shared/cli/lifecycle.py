"""`posthaste status|reload|down`: what runs in a home, its settings read anew, and its end."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from shared.cli.store import DEFAULT_HOME
from shared.errors import ConfigError
from shared.outgoing import outgoing_from
from shared.supervisor.home import Home
from shared.supervisor.leftovers import end_leftovers, is_recorded

NOT_RUNNING = 3
"""The exit code of `status` when nothing runs (LSB)."""
STOP_SECONDS = 120.0

_home = click.option(
    "--home", type=click.Path(path_type=Path), default=DEFAULT_HOME, show_default=True
)


def running(home: Home) -> bool:
    """Whether the supervisor of this home lives."""
    return home.locked()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_home
def status(home: Path, as_json: bool) -> None:
    """Tell what runs; exit code 0 when all of it does, 3 when nothing does, 1 in between.

    Example: posthaste status --home /srv/posthaste --json
    """
    place = Home(home)
    up = running(place)
    facts = place.read_up() if up else {}
    rows = _rows(facts)
    if as_json:
        click.echo(json.dumps({"running": up, "processes": rows}, indent=2))
    elif not up:
        click.echo(f"nothing runs in {home}")
    else:
        for row in rows:
            state = "up" if row["up"] else "down"
            pid = row["pid"] or "-"
            click.echo(f"{row['role']:<12} pid {pid:<8} {state:<5} restarts {row['restarts']}")
    if not up:
        raise SystemExit(NOT_RUNNING)
    if not rows or not all(row["up"] for row in rows):
        raise SystemExit(1)


def _rows(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The supervisor and every child, those that wait for their next start too."""
    supervisors = facts.get("pids", {}).get("supervisor", [])
    rows = [{"role": "supervisor", "number": 1, "pid": pid, "restarts": 0} for pid in supervisors]
    return [
        {**row, "up": row["pid"] is not None and is_recorded(facts, row["pid"])}
        for row in [*rows, *facts.get("processes", [])]
    ]


def _end_leftovers(place: Home) -> int:
    place.lock()
    return end_leftovers(place)


def _supervisor(place: Home) -> int:
    """The pid of what supervises this home. Raises `ConfigError`."""
    facts = place.read_up()
    (supervisor,) = facts.get("pids", {}).get("supervisor") or (None,)
    if supervisor is None or not is_recorded(facts, supervisor):
        raise ConfigError(f"{place.up} does not name the supervisor; it may be starting: try again")
    return int(supervisor)


@click.command()
@_home
def reload(home: Path) -> None:
    """Read relays, routes, [direct], keys, applications, return paths, shaping.toml and
    classification.toml anew.

    Nothing stops for it.

    Wrong settings change nothing. Other sections take a restart; the workers' log names those that
    have changed (settings_wait_for_restart).

    Example: posthaste reload --home /srv/posthaste
    """
    place = Home(home)
    if not running(place):
        raise ConfigError(f"nothing runs in {home}: `posthaste up --home {home}` starts it")
    outgoing_from(place.load())
    os.kill(_supervisor(place), signal.SIGHUP)
    click.echo("reloading; what comes of it is in the log of `posthaste up` and of the workers")


@click.command()
@_home
def down(home: Path) -> None:
    """Stop what runs, in order; undelivered mail stays and goes on at the next `up`.

    Example: posthaste down --home /srv/posthaste
    """
    place = Home(home)
    if not running(place):
        count = _end_leftovers(place) if place.up.exists() else 0
        click.echo(
            f"ended {count} processes of a run whose supervisor was killed"
            if count
            else f"nothing runs in {home}"
        )
        return
    supervisor, facts = _supervisor(place), place.read_up()
    os.kill(supervisor, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running(place) or is_recorded(facts, supervisor):  # It lets go of the lock, then ends.
        if time.monotonic() > deadline:
            raise ConfigError(f"pid {supervisor} has not stopped within {STOP_SECONDS:.0f} s")
        time.sleep(0.05)
    click.echo("stopped")
