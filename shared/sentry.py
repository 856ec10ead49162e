"""Error reports to Sentry, without what mail is made of; off without a DSN.

Bodies, local variables, breadcrumbs and request data never leave: the defaults would send them.
"""

from __future__ import annotations

import re
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from shared.settings import SentrySettings

_ADDRESS = re.compile(r"[^\s\"'<>@]{1,64}@[^\s\"'<>@]{1,255}")


def scrub(value: Any) -> Any:
    """`value` with everything that looks like an address replaced, at any depth."""
    if isinstance(value, str):
        return _ADDRESS.sub("[address]", value)
    if isinstance(value, dict):
        return {key: scrub(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(each) for each in value]
    return value


def before_send(event: Any, hint: Any) -> Any:
    """Drop request data and extras, and scrub the rest."""
    del hint
    for name in ("request", "extra", "breadcrumbs", "user"):
        event.pop(name, None)
    return scrub(event)


def start_sentry(settings: SentrySettings) -> None:
    """Begin to report errors of this process; call it after a fork."""
    if not settings.dsn:
        return
    sentry_sdk.init(
        dsn=settings.dsn,
        environment=settings.environment,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,
        traces_sample_rate=0.0,
        default_integrations=True,
        auto_enabling_integrations=False,  # Dramatiq's would attach every message's arguments.
        before_send=before_send,
    )
    ignore_logger("dramatiq")
