"""The Flask applications: `create_app` for clients, `create_operator_app` for operators.

Both are built from a `Context`; nothing is read from the environment and nothing is global.
"""

from __future__ import annotations

import re
import secrets
from functools import partial

import structlog
from flask import Flask, Response, g, request

from shared.classification.told import Told
from shared.feedback.tokens import Tokens
from shared.routing import Routes
from shared.secret_files import feedback_keys_of
from shared.services import Services
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from web import access, errors
from web.admission import Admission
from web.auth import Authenticator
from web.console.blueprint import blueprint as console_blueprint
from web.errors import Problem
from web.measure import Meter, lone_meter
from web.parse import drain
from web.views import (
    batches,
    dead_letters,
    destinations,
    health,
    limits,
    messages,
    openapi,
    quota,
    stats,
    suppression_files,
    suppressions,
    unsubscribe,
)
from web.views.context import Context

MOST_BYTES: dict[str | None, int] = {unsubscribe.ENDPOINT: unsubscribe.MAX_BODY_BYTES}
"""Of a body, where it is not `web.max_request_bytes`; by endpoint."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def create_context(services: Services, meter: Meter | None = None) -> Context:
    """What the views of both applications share."""
    settings = services.settings
    secrets = feedback_keys_of(settings.feedback)
    return Context(
        services,
        Authenticator(services.keys, services.clock, settings.web.key_cache_seconds),
        Admission(services.spool),
        meter or lone_meter(),
        Routes(settings),
        Tokens(secrets) if secrets else None,
        Shaping(settings),
        Told(settings),
    )


def create_app(settings: Settings, services: Services, context: Context | None = None) -> Flask:
    """The application that clients reach."""
    context = context or create_context(services)
    app = _flask("posthaste", settings, context.meter)
    app.register_blueprint(batches.blueprint(context))
    app.register_blueprint(messages.blueprint(context))
    app.register_blueprint(destinations.blueprint(context))
    app.register_blueprint(limits.blueprint(context))
    app.register_blueprint(dead_letters.blueprint(context))
    app.register_blueprint(quota.blueprint(context))
    app.register_blueprint(suppressions.blueprint(context))
    app.register_blueprint(suppression_files.blueprint(context))
    app.register_blueprint(stats.blueprint(context))
    app.register_blueprint(health.blueprint(context))
    app.register_blueprint(unsubscribe.blueprint(context))
    app.register_blueprint(openapi.blueprint(context))
    if settings.console.url:
        app.register_blueprint(console_blueprint(context))
    return app


def create_operator_app(
    settings: Settings, services: Services, context: Context | None = None
) -> Flask:
    """The application on the operator's listener; never public."""
    context = context or create_context(services)
    app = _flask("posthaste-operator", settings, context.meter)
    app.register_blueprint(health.blueprint(context))
    app.register_blueprint(health.operator_blueprint(context))
    return app


def _flask(name: str, settings: Settings, meter: Meter) -> Flask:
    app = Flask(name, static_folder=None)
    app.url_map.merge_slashes = False  # `//` is no place here: 404, not a redirect in HTML.
    app.config["MAX_CONTENT_LENGTH"] = settings.web.max_request_bytes
    app.before_request(_begin)
    app.before_request(_refuse_oversized)
    app.after_request(partial(_end, meter))
    errors.register(app)
    return app


def _refuse_oversized() -> None:
    """413 by the announced length; the body is read first, so that the answer reaches a client
    that reads nothing before it has sent everything."""
    if request.endpoint in MOST_BYTES:
        request.max_content_length = MOST_BYTES[request.endpoint]
    length, limit = request.content_length or 0, request.max_content_length or 0
    if length <= limit:
        return
    if "Expect" not in request.headers:
        drain(request, length)
    raise Problem(413, "too_large", f"The body is over {limit} bytes.")


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    good = _REQUEST_ID.match(given) and not given.startswith("ph_")  # That would be a key.
    g.request_id = given if good else secrets.token_hex(16)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    access.begin()


def _end(meter: Meter, response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    ended = access.ended(response)
    access.tell(ended)
    access.measure(ended, meter.metrics)
    return response
