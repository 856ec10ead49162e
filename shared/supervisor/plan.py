"""From options and settings to the processes of an installation: ports, commands, environments."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.config import host_and_port, load
from shared.embedded import server_binary, server_config, server_environment
from shared.errors import ConfigError
from shared.hosts import is_loopback
from shared.outgoing import outgoing_from
from shared.settings import Settings
from shared.supervisor.child import ChildSpec
from shared.supervisor.home import Home
from shared.supervisor.memory import memory_bytes
from shared.supervisor.ports import Reserved, reserve

_PYTHON = (sys.executable, "-P", "-m")
"""-P: a `web` or `shared` in the current directory is not ours."""

SOCKET_PATH_LIMIT = 100
"""A unix socket's path fits 108 bytes on Linux, 104 elsewhere."""

TRIAL_DOMAIN = "bounces.posthaste.test"
"""Of return paths of mail that is for the inbox."""

TRIAL_SENDER = "Posthaste <console@posthaste.test>"
"""Of the console's own mail, which is for the inbox."""

_ANY_RELAY = Settings().relay


class Options(msgspec.Struct, frozen=True):
    """What the command line says; None where it says nothing."""

    http: int | None = None
    operator: int | None = None
    inbox: int | None = None
    inbox_smtp: int | None = None
    exporter: int | None = None
    bounces: int | None = None
    smtp_relay: str | None = None
    workers: int = 2
    web: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """What will run."""

    settings: Settings
    relay: str
    """Where mail goes, as host:port."""
    environment: dict[str, str]
    """Overrides that every role gets."""
    http: str
    operator: str
    exporter: str
    workers: tuple[str, ...]
    """Where each worker tells its metrics."""
    inbox: str | None
    inbox_smtp: str | None
    bounces: str | None
    """Where mail that comes back is taken, as smtp://host:port; None: nowhere."""
    bounces_operator: str | None
    listeners: tuple[Reserved, ...]
    """Addresses that this installation keeps for its children."""
    specs: tuple[ChildSpec, ...]

    def release(self) -> None:
        """Keep the addresses no longer."""
        for each in self.listeners:
            each.release()


def _choose(option: int | None, default: str, fixed: bool, flag: str) -> Reserved:
    """The address for a listener, free now."""
    host, port = host_and_port(default, flag)
    wanted = option if option is not None else (port if fixed else 0)
    try:
        return reserve(host, wanted)
    except OSError as error:
        raise ConfigError(
            f"port {wanted} on {host} is not free ({error.strerror}):"
            f" stop what uses it, or choose another with {flag} PORT"
        ) from error


def _relay_is_set(home: Home) -> bool:
    """Whether the installation's own file names a relay, be it the default one."""
    try:
        values = tomllib.loads(home.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    relays = values.get("relay", [])
    first = relays if isinstance(relays, dict) else (relays or [{}])[0]
    return bool(first.get("url") or first.get("host"))


def make(home: Home, options: Options, redis_socket: str) -> Plan:
    """The plan. Raises `ConfigError` naming the port and the flag when one is taken."""
    settings = home.load()
    fixed = options.http is None  # With --http the other ports are free ones of the system.
    http = _choose(options.http, settings.web.listen, fixed, "--http")
    operator = _choose(options.operator, settings.web.operator_listen, fixed, "--operator")
    exporter = _choose(options.exporter, settings.exporter.listen, fixed, "--exporter")
    workers = [_choose(None, "127.0.0.1:0", False, "--workers") for _ in range(options.workers)]
    listeners = [http, operator, exporter, *workers]
    with_inbox = options.smtp_relay is None or options.inbox is not None
    environment = {
        "POSTHASTE_CONFIG": str(home.settings),
        "POSTHASTE_STORE_REDIS_URL": f"unix://{redis_socket}",
        "POSTHASTE_STORE_REDIS_PASSWORD_FILE": "",  # Its socket is this user's alone.
        "POSTHASTE_STORE_DATA_DIR": str(home.redis),
        "POSTHASTE_WEB_LISTEN": _join(http),
        "POSTHASTE_WEB_OPERATOR_LISTEN": _join(operator),
        "POSTHASTE_EXPORTER_LISTEN": _join(exporter),
    }
    if not (settings.log.address_key or settings.log.address_key_file):
        environment["POSTHASTE_LOG_ADDRESS_KEY_FILE"] = str(home.log_key)
    if options.web is not None:
        environment["POSTHASTE_WEB_PROCESSES"] = str(options.web)
    inbox = smtp = None
    if with_inbox:
        inbox = _choose(options.inbox, settings.inbox.listen, fixed, "--inbox")
        smtp = _choose(options.inbox_smtp, settings.inbox.smtp_listen, fixed, "--inbox-smtp")
        listeners += [inbox, smtp]
        environment["POSTHASTE_INBOX_LISTEN"] = _join(inbox)
        environment["POSTHASTE_INBOX_SMTP_LISTEN"] = _join(smtp)
        environment["POSTHASTE_INBOX_DIRECTORY"] = str(home.inbox)
    to_inbox = False
    if options.smtp_relay is not None:
        environment["POSTHASTE_RELAY_URL"] = options.smtp_relay
    elif smtp is not None and not (_relay_is_set(home) or settings.relay != _ANY_RELAY):
        to_inbox = True
        environment["POSTHASTE_RELAY_URL"] = f"smtp://{_join(smtp)}"
    environment |= home.own_keys()
    if to_inbox and not settings.unsubscribe.url and is_loopback(http.host):
        environment["POSTHASTE_UNSUBSCRIBE_URL"] = f"http://{_join(http)}"  # To try it out.
    _console(settings, environment, http, inbox, to_inbox=to_inbox)
    back = _bounces(home, options, environment, fixed=fixed, to_inbox=to_inbox)
    listeners += back
    _check_ports(listeners)
    found = load(home.settings, overrides=environment)
    relay = outgoing_from(found).relays[0]
    return Plan(
        settings=found,
        relay=f"{relay.host}:{relay.port}",
        environment=environment,
        http=f"http://{_join(http)}",
        operator=f"http://{_join(operator)}",
        exporter=f"http://{_join(exporter)}",
        workers=tuple(f"http://{_join(each)}" for each in workers),
        inbox=f"http://{_join(inbox)}" if inbox else None,
        inbox_smtp=f"smtp://{_join(smtp)}" if smtp else None,
        bounces=f"smtp://{_join(back[0])}" if back else None,
        bounces_operator=f"http://{_join(back[1])}" if back else None,
        listeners=tuple(listeners),
        specs=_specs(home, workers, environment, redis_socket, with_inbox, bool(back)),
    )


def _console(
    settings: Settings,
    environment: dict[str, str],
    http: Reserved,
    inbox: Reserved | None,
    *,
    to_inbox: bool,
) -> None:
    """The console on this machine, where the settings name no other place for it."""
    if settings.console.url:
        return
    if not is_loopback(http.host):
        return  # Others could come by, and passwords would travel in the open.
    environment["POSTHASTE_CONSOLE_URL"] = f"http://{_join(http)}"
    if to_inbox and not settings.console.mail_from:
        environment["POSTHASTE_CONSOLE_MAIL_FROM"] = TRIAL_SENDER
    if inbox is not None and not settings.console.inbox_url:
        environment["POSTHASTE_CONSOLE_INBOX_URL"] = f"http://{_join(inbox)}"


def _check_ports(listeners: Sequence[Reserved]) -> None:
    if len({(each.host, each.port) for each in listeners}) < len(listeners):
        raise ConfigError(
            "two of --http, --operator, --exporter, --bounces, --inbox and --inbox-smtp are the"
            " same port"
        )


def _bounces(
    home: Home, options: Options, environment: dict[str, str], *, fixed: bool, to_inbox: bool
) -> list[Reserved]:
    """Where mail that comes back is taken, and where that role tells its health; empty: nowhere.

    Mail for the inbox has return paths in a domain of its own, so that this can be tried. Mail that
    leaves has those of the settings only: nobody could write to others.
    """
    bounces = home.load(environment).bounces
    if to_inbox and not bounces.domains:
        environment["POSTHASTE_BOUNCES_DOMAINS"] = TRIAL_DOMAIN
    elif not bounces.domains and options.bounces is None:
        return []
    found = [
        _choose(options.bounces, bounces.listen, fixed, "--bounces"),
        _choose(None, bounces.operator_listen or "127.0.0.1:0", fixed, "--bounces"),
    ]
    environment["POSTHASTE_BOUNCES_LISTEN"] = _join(found[0])
    environment["POSTHASTE_BOUNCES_OPERATOR_LISTEN"] = _join(found[1])
    return found


def _join(at: Reserved) -> str:
    return f"[{at.host}]:{at.port}" if ":" in at.host else f"{at.host}:{at.port}"


def web_command() -> tuple[str, ...]:
    """The ingest tier under gunicorn."""
    return (*_PYTHON, "gunicorn", "-c", "python:web.gunicorn_conf", "web.wsgi:application")


def module_command(module: str) -> tuple[str, ...]:
    """A role that is a module."""
    return (*_PYTHON, module)


def _specs(
    home: Home,
    workers: Sequence[Reserved],
    environment: dict[str, str],
    redis_socket: str,
    inbox: bool,
    bounces: bool,
) -> tuple[ChildSpec, ...]:
    config = home.redis / "server.conf"
    text = server_config(home.redis, socket=Path(redis_socket), maxmemory_bytes=memory_bytes() // 2)
    config.write_text(text, encoding="utf-8")
    specs = [ChildSpec("redis", 1, (str(server_binary()), str(config)), server_environment(), 30.0)]
    if inbox:
        specs.append(ChildSpec("inbox", 1, module_command("web.inbox"), environment, 10.0))
    specs.append(ChildSpec("web", 1, web_command(), environment))
    if bounces:
        specs.append(ChildSpec("bounces", 1, module_command("workers.returns.main"), environment))
    specs.append(ChildSpec("exporter", 1, module_command("shared.exporter"), environment, 10.0))
    for number, listen in enumerate(workers, start=1):
        own = environment | {"POSTHASTE_WORKER_LISTEN": _join(listen)}
        specs.append(ChildSpec("worker", number, module_command("workers.main"), own))
    return tuple(specs)
