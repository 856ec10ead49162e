"""gunicorn's own log lines, by way of ours: its texts repeat what clients sent."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from gunicorn.glogging import Logger


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's `logger_class`; `shared.logging.configure` has been called before."""

    def setup(self, cfg: Any) -> None:
        """No handlers of its own: records go up to the root's."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.error_log.propagate = True

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """A request that is not HTTP is told by the kind of its fault, not by its bytes."""
        if str(msg).startswith("Invalid request"):
            kind = type(sys.exception()).__name__
            structlog.contextvars.clear_contextvars()  # Of the thread's request before.
            self.error_log.warning("request_refused", extra={"kind": kind})
            return
        super().warning(msg, *args, **kwargs)
