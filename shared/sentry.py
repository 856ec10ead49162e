"""Error reports to Sentry; off without a DSN.

What leaves is written here, field by field, out of nothing but types, places in code and ids: the
SDK's own event, which holds exceptions' texts, variables, requests and breadcrumbs, is thrown away.
Events come from the log (`report` is one of its steps): what is logged as an error, and what tells
of a store that does not answer. One cause is one issue, and a process repeats itself once a minute.
No host name is sent: a report leads to the log by its request id, message id or time.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from importlib.metadata import version
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration

from shared.errors import StoreError
from shared.faults import Fault, cause, faults, store_cause
from shared.secret_files import dsn_of
from shared.settings import SentrySettings

AGAIN_SECONDS = 60.0
"""One cause is reported so often by one process."""
MOST_A_MINUTE = 20
"""Reports of one process, of all causes together."""
MOST_CAUSES = 256

STORE_TROUBLE = frozenset(
    {
        "claim_waits_for_store", "content_not_read", "leases_not_renewed", "leg_not_split",
        "pump_waits_for_store", "settle_waits_for_store", "start_waits_for_store",
        "starts_not_committed", "store_refused",
    }
)  # fmt: skip
"""Warnings that are reported too, as one issue for each way in which the store is in trouble."""

TAGS = (
    "role", "event", "logger", "request_id", "message_id", "leg", "application", "route", "method",
    "relay", "hop", "suppressed",
)  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9._:/<>{}-]{1,120}\Z")
_LEVELS = {"warning": "warning", "critical": "fatal"}
_NOTHING: Any = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "off"}},
    "http_bodies": [],
    "url_query_params": {"mode": "off"},
    "graphql": {"document": False, "variables": False},
    "gen_ai": {"inputs": False, "outputs": False},
    "database_query_data": False,
    "queues": False,
    "stack_frame_variables": False,
    "frame_context_lines": 0,
}


class Allowance:
    """How often one process may report; safe to use from many threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._causes: dict[tuple[str, ...], tuple[float, int]] = {}
        """Cause -> when it was reported last, and how often not since then."""
        self._minute = 0.0
        self._count = 0

    def take(self, what: tuple[str, ...]) -> int | None:
        """None when it is not to be reported, else how often it was not since the last report."""
        with self._lock:
            now = self._now()
            last, suppressed = self._causes.get(what, (-AGAIN_SECONDS, 0))
            if now - self._minute >= AGAIN_SECONDS:
                self._minute, self._count = now, 0
            if now - last < AGAIN_SECONDS or self._count >= MOST_A_MINUTE:
                self._remember(what, last, suppressed + 1)
                return None
            self._count += 1
            self._remember(what, now, 0)
            return suppressed

    def _remember(self, what: tuple[str, ...], last: float, suppressed: int) -> None:
        if what not in self._causes and len(self._causes) >= MOST_CAUSES:
            del self._causes[next(iter(self._causes))]
        self._causes[what] = (last, suppressed)


def start_sentry(settings: SentrySettings, role: str) -> None:
    """Begin to report errors of this process; call it after a fork. Raises `ConfigError`."""
    dsn = dsn_of(settings)
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        release=settings.release or version("posthaste"),
        environment=settings.environment,
        server_name="",
        # None of its own: they read requests, arguments and log records, and patch what they find.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[AtexitIntegration(callback=lambda pending, timeout: None)],
        before_send=_Rewriter(role, Allowance()),
        data_collection=_NOTHING,
        max_request_body_size="never",
        max_breadcrumbs=0,
        traces_sample_rate=0.0,
        propagate_traces=False,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_backpressure_handling=False,
        enable_logs=False,
        enable_metrics=False,
        spotlight=False,
    )


def report(logger: Any, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A step of the log: report the line if it is an error. The line goes on as it came."""
    wanted = level in ("error", "critical", "exception") or line.get("event") in STORE_TROUBLE
    if wanted and sentry_sdk.get_client().is_active():
        error = exception_of(line.get("exc_info"))
        name = str(line.get("logger") or getattr(logger, "name", ""))
        hint = {"line": {**line, "logger": name}, "error": error}
        event: Any = {"level": _LEVELS.get(level, "error")}
        sentry_sdk.capture_event(event, hint)
    return line


def exception_of(given: object) -> BaseException | None:
    """What `exc_info` means: an exception, a triple, or True for the one that is handled now."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) == 3 and isinstance(given[1], BaseException) else None
    return sys.exception() if given else None


class _Rewriter:
    """The SDK's last hook: gives the event that leaves, or None."""

    def __init__(self, role: str, allowance: Allowance) -> None:
        self._role = role
        self._allowance = allowance

    def __call__(self, event: Any, hint: Any) -> Any:
        line = hint.get("line") or {}
        error = hint.get("error") or exception_of(hint.get("exc_info"))
        what = _cause(line, error)
        suppressed = self._allowance.take(what)
        if suppressed is None:
            return None
        tags = {**line, "role": self._role, "suppressed": suppressed or ""}
        told: dict[str, Any] = {
            name: event[name]
            for name in ("event_id", "timestamp", "level", "release", "environment")
            if name in event
        }
        told |= {
            "platform": "python",
            "fingerprint": list(what),
            "tags": {name: str(tags[name]) for name in TAGS if _is_tag(tags.get(name))},
        }
        if error is not None:
            told["exception"] = {"values": [_told(fault) for fault in reversed(faults(error))]}
        else:
            told["logentry"] = {"formatted": " ".join(what)}
        return told


def _is_tag(value: object) -> bool:
    text = str(value)
    return bool(value) and bool(_TAG.match(text)) and not text.startswith("ph_")


def _cause(line: MutableMapping[str, Any], error: BaseException | None) -> tuple[str, ...]:
    if error is not None:
        return cause(error)
    event = str(line.get("event"))
    reason = line.get("reason")
    if isinstance(reason, StoreError):
        return ("store", store_cause(reason))
    # Our own events are words; another logger's text may hold anything, and is not told.
    name = event if re.fullmatch(r"[a-z][a-z_]{1,60}", event) else "log"
    return (name, str(line.get("logger") or "")[:80])


def _told(fault: Fault) -> dict[str, Any]:
    frames = [
        {
            "module": place.module,
            "function": place.function,
            "filename": place.file,
            "lineno": place.line,
            "in_app": place.ours,
        }
        for place in fault.places
    ]
    return {
        "type": fault.kind,
        "module": fault.module,
        "value": fault.code,
        "stacktrace": {"frames": frames},
    }
