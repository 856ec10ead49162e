"""`posthaste web|worker|bounces|exporter|inbox`: one role alone, in the foreground."""

from __future__ import annotations

import os

import click

from shared.config import load
from shared.dkim import domains_from
from shared.routing import Routes
from shared.secret_files import address_key_of, dsn_of, redis_password_of
from shared.supervisor.plan import module_command, web_command


def _become(command: tuple[str, ...], *, with_store: bool = True) -> None:
    settings = load()  # A wrong setting is told here, before anything starts.
    Routes(settings)
    domains_from(settings.dkim)
    dsn_of(settings.sentry)
    address_key_of(settings.log)
    if with_store:
        redis_password_of(settings.store)
    os.execv(command[0], list(command))  # noqa: S606  # The role takes this process's place.


@click.command()
def web() -> None:
    """Run the ingest tier (gunicorn).

    Example: POSTHASTE_STORE_REDIS_URL=redis://10.0.0.5:6379/0 posthaste web
    """
    _become(web_command())


@click.command()
def worker() -> None:
    """Run one delivery worker.

    Example: POSTHASTE_RELAY_URL=smtp://127.0.0.1:2526 posthaste worker
    """
    _become(module_command("workers.main"))


@click.command()
def bounces() -> None:
    """Run the SMTP server that bounces and complaints come to.

    Example: POSTHASTE_BOUNCES_LISTEN=0.0.0.0:2530 posthaste bounces
    """
    _become(module_command("workers.returns.main"))


@click.command()
def exporter() -> None:
    """Run the exporter, which tells Prometheus what the store counts.

    Example: POSTHASTE_EXPORTER_LISTEN=0.0.0.0:8028 posthaste exporter
    """
    _become(module_command("shared.exporter"))


@click.command()
def inbox() -> None:
    """Run the local inbox, which captures mail instead of sending it on.

    Example: POSTHASTE_INBOX_SMTP_LISTEN=127.0.0.1:2526 posthaste inbox
    """
    _become(module_command("web.inbox"), with_store=False)
