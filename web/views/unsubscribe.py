"""One-click unsubscribe (RFC 8058): the page behind a link in mail, and what the click does.

No key and no cookie: whoever has the link may leave that list, for that address, and nothing else.
GET and HEAD change nothing, because scanners follow links; a POST must hold the pair that mail
programs send. It is never redirected (section 3.2), and may come twice. A link that is not ours is
404 with the same page, whatever is wrong with it. Rates are the load balancer's to limit. The token
is the path: neither the log nor metrics have it, because they tell the rule that matched.
"""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from flask import Blueprint, Response, g, render_template, request
from markupsafe import Markup

from shared.addresses import canonical
from shared.errors import StoreError
from shared.feedback.tokens import OTHER_SITES, Unsubscription
from shared.model.suppression import Suppression
from shared.store.returns import News
from web.errors import RETRY_AFTER_SECONDS
from web.views.context import Context

ENDPOINT = "unsubscribe.link"
MAX_BODY_BYTES = 1024
FIELD, VALUE = "List-Unsubscribe", "One-Click"
SOURCE = "one-click"

State = Literal["ask", "incomplete", "done", "unknown", "away"]
_STATUS: dict[State, HTTPStatus] = {
    "ask": HTTPStatus.OK,
    "incomplete": HTTPStatus.BAD_REQUEST,
    "done": HTTPStatus.OK,
    "unknown": HTTPStatus.NOT_FOUND,
    "away": HTTPStatus.SERVICE_UNAVAILABLE,
}
_STYLE = (Path(__file__).parent / "templates" / "unsubscribe.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)

_log = structlog.get_logger(__name__)


def blueprint(context: Context) -> Blueprint:
    """The route of links."""
    routes = Blueprint("unsubscribe", __name__, template_folder="templates")
    views = _Views(context)
    routes.add_url_rule(
        "/u/<path:token>",
        "link",
        views.link,
        methods=["GET", "POST"],
        provide_automatic_options=False,
    )
    return routes


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context

    def link(self, token: str) -> Response:
        """GET, HEAD and POST /u/{token}."""
        tokens = self._context.tokens
        asked = tokens.read_unsubscribe(token) if tokens is not None else None
        if asked is None:
            return _page("unknown")
        structlog.contextvars.bind_contextvars(application=asked.application)
        if request.method != "POST":
            return _page("ask", asked)
        if not _is_one_click():
            return _page("incomplete", asked)
        try:
            self._unsubscribe(asked)
        except StoreError as error:
            _log.warning("store_refused", reason=error)
            return _page("away", asked)
        return _page("done", asked)

    def _unsubscribe(self, asked: Unsubscription) -> None:
        """Raises the `StoreError` family; then it may have been done."""
        services = self._context.services
        entry = Suppression(
            address=canonical(asked.address),
            application=asked.application,
            list=asked.list,
            reason="unsubscribe",
            source=SOURCE,
            at_ms=services.clock.now_ms(),
        )
        news = News(
            kind="unsubscribed",
            message_id=b"",
            mark=b"",
            application=asked.application,
            message_class="bulk",
            site=self._site(entry.address),
            event=msgspec.msgpack.encode(entry),
            suppressions=(entry,),
        )
        services.returns.news(news)

    def _site(self, address: str) -> str:
        """The provider, by the address: which host has taken the mail is not in the link."""
        provider = self._context.shaping.provider_of_domain(address.rpartition("@")[2])
        return provider or OTHER_SITES


def _is_one_click() -> bool:
    """Whether the body is what RFC 8058 section 3.2 says, as a form of either kind. Its pair alone
    is taken whatever its type is said to be: the reader has clicked."""
    body = request.get_data()  # Kept, so that it can be read as a form, too.
    if body.strip() == f"{FIELD}={VALUE}".encode():
        return True
    return request.form.get(FIELD) == VALUE


def _page(state: State, asked: Unsubscription | None = None) -> Response:
    status = _STATUS[state]
    if status >= 400:
        g.problem = status.phrase.lower().replace(" ", "_")
    body = render_template(
        "unsubscribe.html",
        state=state,
        asked=asked,
        style=Markup(_STYLE),  # noqa: S704  # Our own file.
        field=FIELD,
        value=VALUE,
    )
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    if state == "away":
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
