"""`posthaste log-hash ADDRESS`: what an address is called in the logs."""

from __future__ import annotations

from pathlib import Path

import click

from shared.cli.store import DEFAULT_HOME, config_for
from shared.errors import ConfigError
from shared.log_text import address_hash
from shared.secret_files import address_key_of, read_secret
from shared.supervisor.home import Home


@click.command("log-hash")
@click.argument("address")
@click.option(
    "--home", type=click.Path(path_type=Path), help="Use the key of the `up` in this directory."
)
def log_hash(address: str, home: Path | None) -> None:
    """Print how the logs name a recipient, to search them for it.

    Example: posthaste log-hash customer@example.com
    """
    local, _, domain = address.rpartition("@")
    if not local or not domain:
        raise ConfigError("give an address, such as customer@example.com")
    key = address_key_of(config_for(home).log)
    made = Home(home or DEFAULT_HOME).log_key
    if not key and made.is_file():
        key = read_secret(str(made), str(made)).encode()
    if not key:
        raise ConfigError(
            "without a key each process hashes addresses in its own way: set log.address_key_file"
            " for all of them"
        )
    click.echo(address_hash(address, key))
