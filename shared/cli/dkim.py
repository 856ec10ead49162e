"""`posthaste dkim generate|show`: signing keys and the DNS records that publish them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shared.cli.store import config_for
from shared.dkim import ALGORITHMS, Key, keys_from, selector_of, to_pem, zone_line
from shared.dkim import generate as new_key
from shared.domains import domain_of
from shared.errors import ConfigError


@click.group()
def dkim() -> None:
    """DKIM keys: generate, show.

    Example: posthaste dkim generate example.com
    """


@dkim.command()
@click.argument("domain")
@click.option("--selector", help="Default: the month, such as s202611, or e202611 for Ed25519.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="rsa", show_default=True)
@click.option(
    "--bits", type=click.Choice(["2048", "3072", "4096"]), default="2048", show_default=True,
    help="Of an RSA key.",
)  # fmt: skip
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), default=".",
    show_default=True, help="Where the key file is written.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def generate(
    domain: str, selector: str | None, algorithm: str, bits: str, directory: Path, as_json: bool
) -> None:
    """Make a key for a domain: write it to a file, print its DNS record and its settings.

    Example: posthaste dkim generate example.com --directory /etc/posthaste
    """
    month = datetime.now(UTC).strftime("%Y%m")
    name = selector or f"{algorithm[0].replace('r', 's')}{month}"
    key = Key(domain_of(domain), selector_of(name), new_key(algorithm, int(bits)))
    path = (directory / f"{key.selector}.{key.domain}.pem").absolute()
    _write_new(path, to_pem(key.private))
    if as_json:
        click.echo(json.dumps({**_row(key), "key_file": str(path)}, indent=2))
        return
    click.echo(f"Wrote {path}. Publish this record:\n\n{zone_line(key)}\n")
    click.echo("As name and text, for a form:\n")
    click.echo(f"{key.record_name}\n{key.record}\n")
    click.echo("Once it can be looked up, add this to posthaste.toml, and reload:\n")
    click.echo(
        f'[[dkim]]\ndomain = "{key.domain}"\nselector = "{key.selector}"\nkey_file = "{path}"'
    )


def _write_new(path: Path, data: bytes) -> None:
    """A file that only its owner reads; one that is there is never replaced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already: choose another --selector") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@dkim.command()
@click.argument("domain", required=False)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Use the settings of the `up` in this directory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(domain: str | None, home: Path | None, as_json: bool) -> None:
    """Print the DNS records of the configured keys, of all or of one domain.

    Example: posthaste dkim show example.com
    """
    found = keys_from(config_for(home).dkim)
    wanted = None if domain is None else domain_of(domain)
    keys = [key for each in found.values() for key in each if wanted in (None, key.domain)]
    if not keys:
        where = f" for {wanted}" if wanted else ""
        raise ConfigError(f"no key is configured{where}: `posthaste dkim generate` makes one")
    if as_json:
        click.echo(json.dumps([_row(key) for key in keys], indent=2))
        return
    for key in keys:
        click.echo(zone_line(key))


def _row(key: Key) -> dict[str, Any]:
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.kind,
        "name": key.record_name,
        "record": key.record,
    }
