"""The console's routes, and what happens around each: who is it, headers, errors as pages."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from shared.accounts.accounts import accounts_of
from shared.accounts.passwords import TooManyAtOnce
from shared.accounts.users import TooBusy
from shared.errors import OutcomeUnknown, StoreError, StoreFull
from shared.secret_files import console_keys_of
from web.console import cookies, forms, show
from web.console.afterwards import Afterwards
from web.console.desk import Desk
from web.console.headers import secure
from web.console.pages import Pages, find_visitor
from web.console.views import (
    account,
    account_password,
    aside,
    audit,
    compose,
    compose_parts,
    confirm,
    deciding,
    destinations,
    keys,
    limits,
    links,
    message,
    message_acts,
    messages,
    moves,
    operating,
    overview,
    people,
    person,
    preview,
    recovery_codes,
    reset,
    second_factor,
    second_factor_mail,
    second_step,
    setup,
    sign_in,
)
from web.errors import RETRY_AFTER_SECONDS, Problem
from web.views.context import Context

_VIEWS = (
    overview, destinations, operating, limits, moves,
    messages, message, message_acts, preview, compose, compose_parts,
    sign_in, second_step, setup, confirm, reset, links, account, account_password,
    second_factor, second_factor_mail, recovery_codes,
    aside, deciding, keys, audit, people, person,
)  # fmt: skip
"""Each has `register(pages, desk)`."""
_STATIC = "console.static"
_ROOT = Path(__file__).parent

_log = structlog.get_logger(__name__)


def desk_of(context: Context) -> Desk:
    """What the pages stand on. Raises `ConfigError`."""
    services = context.services
    keys = console_keys_of(services.settings.console)
    accounts = accounts_of(services.records, services.clock, services.settings.console, keys)
    return Desk(
        context,
        keys,
        services.records,
        accounts.users,
        accounts.sessions,
        accounts,
        Afterwards(),
    )


def blueprint(context: Context) -> Blueprint:
    """The routes under /console."""
    desk = desk_of(context)
    routes = Blueprint(
        "console",
        __name__,
        root_path=str(_ROOT),
        template_folder="templates",
        static_folder="static",
        static_url_path="/console/static",
    )
    pages = Pages(routes, desk)
    for view in _VIEWS:
        view.register(pages, desk)
    pages.open_get("", _front)  # Flask's own redirect there would name whatever host was asked for.
    pages.open_get("/<path:rest>", _nowhere)
    around = _Around(desk, pages)
    routes.record_once(lambda state: state.app.extensions.setdefault("console", pages))
    routes.before_request(around.begin)
    routes.after_request(around.end)
    routes.context_processor(around.shown)
    routes.register_error_handler(Problem, around.problem)
    routes.register_error_handler(HTTPException, around.http)
    routes.register_error_handler(StoreError, around.store)
    routes.register_error_handler(TooBusy, around.busy)
    routes.register_error_handler(TooManyAtOnce, around.many)
    routes.register_error_handler(ParseException, around.chunks)
    routes.register_error_handler(Exception, around.unexpected)
    show.register(routes)
    return routes


def _kept(response: Response) -> str:
    """How long browsers keep a static file: for good what was asked for by its version."""
    name = (request.view_args or {}).get("filename", "")
    right = response.status_code < 400 and show.is_asset(name, request.args.get("v", ""))
    return "public, max-age=31536000, immutable" if right else "no-cache"


def _front(visitor: object) -> Any:
    del visitor
    return redirect("/console/", 308)


def _nowhere(visitor: object, rest: str) -> Response:
    del visitor, rest
    raise Problem(404, "not_found", "There is no such page.")


class _Around:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages
        self._host = urlsplit(desk.console.url).hostname

    def begin(self) -> Any:
        """Find out who is there; another name of this host would have other cookies."""
        g.visitor = None
        if request.endpoint == _STATIC:
            return None
        if urlsplit(f"//{request.host}").hostname != self._host:
            if request.method not in ("GET", "HEAD"):
                raise Problem(421, "other_host", "The console is not reached by this name.")
            return redirect(self._desk.console.url + request.full_path.rstrip("?"), 302)
        g.visitor = find_visitor(self._desk)
        g.has_ended = g.visitor is None
        return None

    def end(self, response: Response) -> Response:
        """Headers and cookies."""
        if request.endpoint == _STATIC:
            response.headers["Cache-Control"] = _kept(response)
            return secure(response, tls=self._desk.secure)
        forms.keep(self._desk, response)
        has_cookie = cookies.read(cookies.SESSION, secure=self._desk.secure)
        # Not when the store could not say whose session it is.
        if has_cookie and g.get("has_ended") and "Set-Cookie" not in response.headers:
            cookies.drop(response, cookies.SESSION, secure=self._desk.secure)
        return secure(response, tls=self._desk.secure)

    def shown(self) -> dict[str, Any]:
        """What every template knows."""
        visitor = g.get("visitor")
        full = visitor is not None and visitor.session.level == "full"
        return {
            "visitor": visitor if full else None,
            "may": visitor.user.may if full else (lambda _: False),
            "csrf": forms.token(self._desk, visitor),
            "console": self._desk.console,
            "notice": self._pages.notices.get(request.args.get("notice", "")),
            "asset": show.asset,
            "now_ms": self._desk.now_ms(),
            "part": "HX-Request" in request.headers,
        }

    def problem(self, problem: Problem) -> Response:
        """A refusal, as a page."""
        g.problem = problem.code
        body = render_template(
            "console/error.html",
            status=problem.status,
            title=HTTPStatus(problem.status).phrase,
            detail=problem.detail,
            request_id=g.get("request_id", ""),
        )
        response = make_response(body, problem.status)
        response.headers.update(problem.headers)
        return response

    def http(self, error: HTTPException) -> Any:
        """What Flask refuses."""
        status = error.code or 500
        if status < 400:
            return error.get_response()
        code = HTTPStatus(status).phrase.lower().replace(" ", "_")
        return self.problem(Problem(status, code, f"{HTTPStatus(status).description}."))

    def store(self, error: StoreError) -> Response:
        """The store does not answer."""
        _log.warning("store_refused", reason=error)
        detail = "The store does not answer. Nothing was done: try again in a moment."
        if isinstance(error, StoreFull):
            detail = "The store takes nothing in: it is full or read-only. Nothing was done."
        unknown = isinstance(error, OutcomeUnknown) and request.method == "POST"
        if g.get("change") == "done" or unknown:
            detail = "The store did not answer in time: look whether it was done."
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return self.problem(Problem(503, "unavailable", detail, headers=retry))

    def busy(self, error: TooBusy) -> Response:
        """Others change the same user all the time."""
        _log.warning("user_busy", reason=str(error))
        retry = {"Retry-After": "1"}
        return self.problem(
            Problem(503, "busy", "Somebody else changes the same. Try again.", headers=retry)
        )

    def many(self, error: TooManyAtOnce) -> Response:
        """So many passwords are being checked that this one had to wait too long."""
        _log.warning("passwords_busy", reason=error)
        retry = {"Retry-After": "5"}
        return self.problem(
            Problem(503, "busy", "Too many people sign in just now. Try again.", headers=retry)
        )

    def chunks(self, _: Exception) -> Response:
        """A body whose chunks are none, found while it is read."""
        return self.problem(Problem(400, "bad_chunks", "The form did not come as it should."))

    def unexpected(self, error: Exception) -> Response:
        """Our own mistakes."""
        _log.error("unexpected_error", exc_info=error)
        return self.problem(Problem(500, "internal_error", "Something went wrong on our side."))
