"""Logs: one JSON object (or one line of text) an event, on standard error.

Values come escaped, so that no client or server can forge a line. Tracebacks carry no local
variables. What may be logged is ids, counts and our own words: never an address, a subject, a reply
or a body.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

import structlog

from shared.errors import ConfigError
from shared.sentry import report
from shared.settings import LogSettings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configure(settings: LogSettings) -> None:
    """Set up logging for this process. Raises `ConfigError` for an unknown level or format."""
    if settings.level not in _LEVELS:
        raise ConfigError(f"log.level must be one of {', '.join(_LEVELS)}")
    if settings.format not in ("json", "text"):
        raise ConfigError("log.format must be json or text")
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.format == "text":
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True
        )
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        report,
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
    ]
    structlog.configure(
        processors=[*steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[settings.level])
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    # Dramatiq logs a ticket's arguments and every reconnect at CRITICAL: ours say it once.
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Python's own would print the exception's text."""
    del kind, traceback
    if not isinstance(error, KeyboardInterrupt):
        structlog.get_logger(__name__).critical("process_broke", exc_info=error)


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        structlog.get_logger(__name__).critical("thread_broke", exc_info=given.exc_value)
