"""`python -m web.inbox`: the inbox's process. Exit code 2 for a wrong setting or a busy port.

gunicorn serves the pages from one worker process; the SMTP server runs on a thread of that worker,
which ends itself when its parent is gone.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from shared.config import host_and_port, load
from shared.errors import ConfigError
from shared.logging import configure
from shared.settings import InboxSettings
from web.gunicorn_log import GunicornLogger
from web.inbox.app import create_app
from web.inbox.mailbox import Mailbox
from web.inbox.smtp import listen


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types.
    """gunicorn with one worker, configured here."""

    def __init__(self, settings: InboxSettings, console_url: str) -> None:
        self._settings = settings
        self._console_url = console_url
        self._mailbox: Mailbox | None = None
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's hook."""
        for name, value in {
            "bind": self._settings.listen,
            "workers": 1,
            "worker_class": "gthread",
            "threads": 16,
            "keepalive": 75,
            "graceful_timeout": 2,
            "control_socket_disable": True,
            "loglevel": "warning",
            "logger_class": GunicornLogger,
            "post_worker_init": self._listen,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """gunicorn's hook: the WSGI application, built in the worker."""
        self._mailbox = Mailbox(Path(self._settings.directory), self._settings.max_messages)
        return create_app(self._mailbox, self._console_url)

    def _listen(self, worker: Any) -> None:
        del worker
        if self._mailbox is not None:
            listen(self._settings, self._mailbox)


def _check_port(address: str, setting: str) -> None:
    host, port = host_and_port(address, setting)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} is not free: choose another with {setting}"
            ) from error


def main() -> int:
    """The entry of the process."""
    try:
        settings = load()
        _check_port(settings.inbox.listen, "inbox.listen")
        _check_port(settings.inbox.smtp_listen, "inbox.smtp_listen")
        configure(settings.log)
    except ConfigError as error:
        sys.stderr.write(f"posthaste inbox: {error}\n")
        return 2
    Server(settings.inbox, settings.console.url).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
