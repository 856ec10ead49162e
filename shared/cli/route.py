"""`posthaste route`: which way mail goes, by the settings as they are."""

from __future__ import annotations

from pathlib import Path

import click

from shared.cli.operate import home_option, json_option, print_json
from shared.cli.store import config_for
from shared.domains import domain_of
from shared.errors import ConfigError
from shared.hops import mx_hop
from shared.hosts import host
from shared.model.message import CLASSES, Address, Head, MessageClass, Recipient
from shared.routing import UNDECIDED_HOP, Routes, mail_domain


@click.group()
def route() -> None:
    """Look at routes.

    Example: posthaste route show --from shop@shop.example --to customer@example.com
    """


@route.command()
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="The From address.")
@click.option("--to", "recipients", required=True, multiple=True, metavar="ADDRESS")
@click.option("--app", "application", default="default", show_default=True)
@click.option("--class", "message_class", type=click.Choice(CLASSES))
@click.option("--tag", "tags", multiple=True)
@click.option("--mx", "hosts", multiple=True, metavar="HOST", help="MX hosts of their domains.")
@home_option
@json_option
def show(
    sender: str,
    recipients: tuple[str, ...],
    application: str,
    message_class: MessageClass | None,
    tags: tuple[str, ...],
    hosts: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Tell which route a message would take, and to which hop, for each recipient.

    Nothing is sent, and neither the store nor DNS is asked: what routes with sites do, they tell
    with --mx.

    Example: posthaste route show --from shop@shop.example --to customer@example.com --class bulk
    """
    settings = config_for(home)
    routes = Routes(settings)
    head = Head(
        application,
        message_class or settings.default_class,
        "",
        Address(_address(sender)),
        "",
        tuple(Recipient("to", _address(each)) for each in recipients),
        "",
        0,
        tags=tags,
    )
    known = tuple(host(each) for each in hosts) or None
    of_domains = {mail_domain(each): known for each in head.recipients} if known else None
    hops = routes.hops_of(head, range(len(recipients)), of_domains)
    rows = [
        {"address": each.email, "route": routes.route_of(head, each, known) or None, "hop": hop}
        for each, hop in zip(head.recipients, hops, strict=True)
    ]
    if as_json:
        print_json({"data": rows})
        return
    for row in rows:
        way = f"route {row['route']}" if row["route"] else "no route of its own"
        if row["hop"] == UNDECIDED_HOP:
            way = "the MX hosts of its domain decide: give them with --mx"
        elif mx_hop(str(row["hop"])) is not None:
            way += ", straight to the MX hosts of its domain"
        click.echo(f"{row['address']}: {row['hop']} ({way})")


def _address(text: str) -> str:
    """An address with its domain as A-labels. Raises `ConfigError`."""
    local, _, domain = text.rpartition("@")
    if not local:
        raise ConfigError(f"{text!r} is not an address, such as customer@example.com")
    return f"{local}@{domain_of(domain)}"
