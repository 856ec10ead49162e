"""The API's description: for programs as OpenAPI, for people as a page.

Neither needs a key, and neither knows anything of the mail here. Both are made once in a process,
at the first request, and answered as the same bytes; `ETag` and 304 spare the rest.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec
from flask import Blueprint, Response, request

from shared.settings import WebSettings
from web.openapi.document import document
from web.openapi.page import POLICY, page
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """GET /openapi.json and /docs."""
    routes = Blueprint("openapi", __name__)
    views = _Views(context.services.settings.web)
    routes.get("/openapi.json")(views.description)
    routes.get("/docs")(views.documentation)
    return routes


class _Views:
    def __init__(self, limits: WebSettings) -> None:
        self._limits = limits

    @cached_property
    def _json(self) -> bytes:
        return msgspec.json.encode(document(self._limits))

    @cached_property
    def _html(self) -> bytes:
        return page(document(self._limits)).encode()

    def description(self) -> Response:
        """GET /openapi.json."""
        return _cached(self._json, "application/json")

    def documentation(self) -> Response:
        """GET /docs."""
        response = _cached(self._html, "text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _cached(body: bytes, content_type: str) -> Response:
    """The bytes, or 304 for who has them; kept by clients, who ask each time."""
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(hashlib.blake2b(body, digest_size=16).hexdigest())
    response.make_conditional(request)
    return response
