"""Logs: one JSON object (or one line of text) an event, on standard error.

Every value goes through `shared.log_text`: no client or server can forge or break a line, addresses
are keyed hashes, and of an exception only types and places are told. A line has at most 4,000 bytes
and is written at once, so that lines of processes that share a pipe do not mix. Records of other
libraries pass the same way, without the texts that they were given.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import structlog

from shared.faults import Fault, faults
from shared.log_text import Cleaner
from shared.secret_files import address_key_of
from shared.sentry import exception_of, report
from shared.settings import LogSettings

MOST_BYTES = 4000
"""A pipe takes 4,096 in one piece (POSIX's PIPE_BUF on Linux)."""
PLACES = 12
FEW_PLACES = 3

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_STANDARD_ERROR = 2
_OWN_KEY = secrets.token_bytes(32)
"""Without a configured key; processes forked from this one have the same."""
_PLAIN = re.compile(r"SIG[A-Z0-9]{1,8}\Z|\('[0-9a-f.:]{3,40}', [0-9]{1,5}\)\Z")
"""Arguments of gunicorn that are told: a signal, the address of a listener."""

_EVENT = re.compile(r"[a-z][a-z0-9_]{1,60}").fullmatch

Line = MutableMapping[str, Any]
_encode = msgspec.json.Encoder().encode


def configure(settings: LogSettings) -> None:
    """Set up logging for this process. Raises `ConfigError` when the addresses' key is wrong."""
    key = address_key_of(settings) or _OWN_KEY
    render = Renderer(Cleaner(settings.addresses, key), settings.format)
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _named, report, render],
        logger_factory=_Output,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Others(render)]
    root.setLevel(level)
    warnings.showwarning = _warned  # type: ignore[assignment]  # Two arguments are not told.
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread
    # Dramatiq logs a ticket's arguments and every reconnect at CRITICAL: ours say it once.
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's: every command.
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # What carries reports to Sentry.


class _Output:
    """Where structlog's lines go; its methods are the levels."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def debug(self, line: bytes) -> None:
        """Write a line, in one piece."""
        write(line)

    info = warning = error = critical = debug


def write(line: bytes) -> None:
    """To standard error; a log that cannot be written stops nobody."""
    try:
        while line:
            line = line[os.write(_STANDARD_ERROR, line) :]
    except OSError:
        pass


def _named(logger: Any, level: str, line: Line) -> Line:
    """Say who logs it; an event is a fixed name, not a text that something was put into."""
    line["logger"] = logger.name
    line["event"] = _event(str(line.get("event")))
    return line


@lru_cache(maxsize=512)
def _event(name: str) -> str:
    return name if _EVENT(name) else "unnamed"


class Renderer:
    """The last step: a line's fields -> its bytes."""

    def __init__(self, cleaner: Cleaner, form: str) -> None:
        self._cleaner = cleaner
        self._bytes: Callable[[Line], bytes] = _encode if form == "json" else _text

    def __call__(self, logger: Any, level: str, line: Line) -> bytes:
        error = exception_of(line.pop("exc_info", None))
        told: Line = {"timestamp": _now(), "level": level}
        told.update(self._cleaner.fields(line))
        if error is not None:
            told["exception"] = _exceptions(faults(error), PLACES)
        data = self._bytes(told)
        if len(data) > MOST_BYTES and error is not None:
            told["exception"] = _exceptions(faults(error), FEW_PLACES)
            data = self._bytes(told)
        if len(data) > MOST_BYTES:
            told = {name: told.get(name) for name in ("timestamp", "level", "event", "logger")}
            data = self._bytes({**told, "cut": True})
        return data + b"\n"


def _now() -> str:
    """RFC 3339, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _exceptions(found: tuple[Fault, ...], places: int) -> list[dict[str, Any]]:
    """Outermost exception first, innermost place last."""
    return [
        {
            "type": fault.kind,
            **({"code": fault.code} if fault.code else {}),
            "at": [f"{each.file}:{each.line} {each.function}" for each in fault.places[-places:]],
        }
        for fault in found
    ]


def _text(line: Line) -> bytes:
    """`key=value`, for reading at a terminal."""
    parts = []
    for name, value in line.items():
        plain = isinstance(value, str) and re.fullmatch(r"[^\s\"'=\\]+", value)
        parts.append(f"{name}={value if plain else _encode(value).decode()}")
    return " ".join(parts).encode()


class _Others(logging.Handler):
    """Records of other libraries."""

    def __init__(self, render: Renderer) -> None:
        super().__init__()
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's template with its numbers; other arguments stay out."""
        level = record.levelname.lower()
        line: Line = {"event": _told(record), "logger": record.name}
        for name in ("kind", "exc_info"):
            if getattr(record, name, None):
                line[name] = getattr(record, name)
        line = structlog.contextvars.merge_contextvars(None, level, line)
        write(self._render(None, level, report(None, level, line)))


class _Left:
    """An argument that is not told."""

    def __repr__(self) -> str:
        return "[...]"


def _told(record: logging.LogRecord) -> str:
    """The first line; what follows in those of asyncio repeats what it is about."""
    text = str(record.msg)
    if record.args:
        given = record.args if isinstance(record.args, tuple) else (record.args,)
        try:
            text %= tuple(_argument(each) for each in given)
        except (TypeError, ValueError, KeyError):
            pass  # The template says enough.
    elif isinstance(record.msg, BaseException):
        text = type(record.msg).__qualname__
    return text.partition("\n")[0]


def _argument(given: object) -> object:
    if isinstance(given, (int, float)) or (isinstance(given, str) and _PLAIN.match(given)):
        return given
    return _Left()


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


def _unraisable(given: Any) -> None:
    structlog.get_logger(__name__).error("cleaning_up_broke", exc_info=given.exc_value)


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any
) -> None:
    place = f"{Path(filename).name}:{lineno}"
    structlog.get_logger(__name__).warning("python_warns", kind=category.__name__, at=place)
