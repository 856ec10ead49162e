"""`posthaste key create|list|revoke`: API keys of the configured store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shared.api_keys import application_of, domains_of, generate
from shared.cli.store import settings_for
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.model.message import CLASSES, MessageClass
from shared.store.keys import SCOPES, ApiKey, Scope
from shared.store.redis_keys import RedisKeys

_home = click.option(
    "--home", type=click.Path(path_type=Path), help="Use the store of the `up` in this directory."
)


@click.group()
def key() -> None:
    """API keys: create, list, revoke.

    Example: posthaste key create --app billing --from example.com
    """


@key.command()
@click.option("--app", "application", required=True, help="The application the key belongs to.")
@click.option("--from", "domains", multiple=True, help="A From domain it may use; default any.")
@click.option(
    "--class", "classes", multiple=True, type=click.Choice(CLASSES), help="Default all classes."
)
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=("send",),
    show_default=True, help="operate: suspend, flush, redrive, for all applications.",
)  # fmt: skip
@_home
def create(
    application: str,
    domains: tuple[str, ...],
    classes: tuple[MessageClass, ...],
    scopes: tuple[Scope, ...],
    home: Path | None,
) -> None:
    """Create a key and print it: it is not shown again.

    Example: posthaste key create --app shop --from shop.example --class critical
    """
    try:
        name = application_of(application)
    except ConfigError as error:
        raise ConfigError(f"--app: {error}") from None
    try:
        checked = domains_of(domains)
    except ConfigError as error:
        raise ConfigError(f"--from: {error}") from None
    text, stored = generate(name, checked, classes or CLASSES, SystemClock(), scopes)
    RedisKeys(settings_for(home)).add(stored)
    click.echo(text)


@key.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_home
def list_keys(as_json: bool, home: Path | None) -> None:
    """List keys, without their secrets; when each was used last, to the minute.

    Example: posthaste key list --json
    """
    keys = RedisKeys(settings_for(home))
    last_used = keys.last_used()
    rows = [_row(each, last_used.get(each.id)) for each in keys.all()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        domains = ",".join(row["from"]) or "any"
        used = f"last used {row['last_used_at']}" if row["last_used_at"] else "no use known"
        state = f"revoked {row['revoked_at']}" if row["revoked_at"] else "in force"
        click.echo(
            f"{row['id']}  {row['app']}  may {','.join(row['scopes'])}  from {domains}"
            f"  {','.join(row['classes'])}  created {row['created_at']}  {used}  {state}"
        )


def _row(stored: ApiKey, last_used_ms: int | None) -> dict[str, Any]:
    return {
        "id": stored.id,
        "app": stored.application,
        "from": list(stored.from_domains),
        "classes": list(stored.classes),
        "scopes": list(stored.scopes),
        "created_at": _time(stored.created_ms),
        "last_used_at": _time(last_used_ms),
        "revoked_at": _time(stored.revoked_ms),
    }


def _time(ms: int | None) -> str | None:
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@key.command()
@click.argument("identifier")
@_home
def revoke(identifier: str, home: Path | None) -> None:
    """Revoke a key by its id (the second part of its text).

    Example: posthaste key revoke 1f0c9a4e77d2b630
    """
    if not RedisKeys(settings_for(home)).revoke(identifier):
        raise ConfigError(f"there is no key {identifier}: see `posthaste key list`")
    click.echo(f"revoked {identifier}")
