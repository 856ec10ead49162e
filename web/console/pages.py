"""How a page is registered: its address, who may see it, what is checked before its view runs.

Every route of the console goes through here, so none can forget to ask who is there. The view gets
the `Visitor` first (an open page: the visitor or None), then what the address names.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import msgspec
import structlog
from flask import Blueprint, Response, abort, g, redirect, request

from shared.accounts.sessions import Level
from shared.accounts.user import Permission
from web.console import cookies, forms
from web.console.desk import Desk, Visitor
from web.errors import Problem
from web.parse import drain

View = Callable[..., Any]
FORM_BYTES = 1024 * 1024
"""Of a form, where nothing else is said."""
OPEN_FORM_BYTES = 16 * 1024
"""Of a form that anybody may send: a megabyte of fields takes a second of the processor."""
FORM_PARTS = 1000
POLL = "X-Poll"
"""Our scripts send it where a page asks again by itself, which is no use of the session."""

SIGN_IN, SECOND_STEP, SETUP = "/console/sign-in", "/console/sign-in/second-step", "/console/setup"
CONFIRM = "/console/confirm"
_WHERE: dict[Level, str] = {"password": SECOND_STEP, "setup": SETUP, "full": "/console/"}


class Rule(msgspec.Struct, frozen=True):
    """Who may ask for what; tests walk all of them."""

    method: str
    path: str
    needs: Permission | None
    """None: whoever is signed in; with `open`, anybody."""
    open: bool = False
    levels: tuple[Level, ...] = ("full",)
    confirm: bool = False
    """Only shortly after the password was given (`console.confirm_seconds`)."""


class Pages:
    """The routes of the console."""

    def __init__(self, routes: Blueprint, desk: Desk) -> None:
        self._routes = routes
        self.desk = self._desk = desk
        self.rules: dict[str, Rule] = {}
        """By endpoint."""
        self.notices: dict[str, str] = {}
        """What `?notice=CODE` says on the next page."""

    def get(
        self,
        path: str,
        view: View,
        needs: Permission | None,
        *,
        levels: tuple[Level, ...] = ("full",),
        confirm: bool = False,
    ) -> None:
        """A page for who is signed in and has the permission (None: whatever the role)."""
        rule = Rule("GET", path, needs, levels=levels, confirm=confirm)
        self._add(rule, view, self._guarded(rule, view))

    def post(
        self,
        path: str,
        view: View,
        needs: Permission | None,
        *,
        levels: tuple[Level, ...] = ("full",),
        confirm: bool = False,
        most_bytes: int = FORM_BYTES,
    ) -> None:
        """What such a page's form does."""
        rule = Rule("POST", path, needs, levels=levels, confirm=confirm)
        self._add(rule, view, self._guarded(rule, view), most_bytes)

    def open_get(self, path: str, view: View) -> None:
        """A page for anybody."""
        rule = Rule("GET", path, None, open=True)
        self._add(rule, view, self._open(view))

    def open_post(self, path: str, view: View) -> None:
        """What such a page's form does."""
        rule = Rule("POST", path, None, open=True)
        self._add(rule, view, self._open(view), OPEN_FORM_BYTES)

    def _add(self, rule: Rule, view: View, wrapped: View, most_bytes: int = FORM_BYTES) -> None:
        name = view.__qualname__.replace("_Views.", "").replace(".", "_")
        endpoint = f"{view.__module__.rpartition('.')[2]}_{name}_{rule.method.lower()}"
        bounded = _bounded(wrapped, most_bytes) if rule.method == "POST" else wrapped
        self._routes.add_url_rule(
            f"/console{rule.path}",
            endpoint,
            bounded,
            methods=[rule.method],
            provide_automatic_options=False,
        )
        self.rules[f"{self._routes.name}.{endpoint}"] = rule

    def _open(self, view: View) -> View:
        @wraps(view)
        def answer(**named: Any) -> Any:
            if request.method == "POST":
                forms.check(self._desk, g.visitor)
            return view(g.visitor, **named)

        return answer

    def _guarded(self, rule: Rule, view: View) -> View:
        @wraps(view)
        def answer(**named: Any) -> Any:
            visitor: Visitor | None = g.visitor
            if visitor is None:
                return go(f"{SIGN_IN}?next={quote(_here(), safe='/')}")
            if visitor.session.level not in rule.levels:
                return go(_WHERE[visitor.session.level])
            if request.method == "POST":
                forms.check(self._desk, visitor)
            if rule.needs is not None and not visitor.user.may(rule.needs):
                raise Problem(403, "not_allowed", "Your role does not allow this.")
            if rule.confirm and not self._is_confirmed(visitor):
                return go(f"{CONFIRM}?next={quote(_here(), safe='/')}")
            return view(visitor, **named)

        return answer

    def _is_confirmed(self, visitor: Visitor) -> bool:
        age = self._desk.now_ms() - visitor.session.confirmed_ms
        return 0 <= age < self._desk.console.confirm_seconds * 1000


def where_of(visitor: Visitor) -> str:
    """The step that this visitor has still to take; empty: none."""
    return "" if visitor.session.level == "full" else _WHERE[visitor.session.level]


def find_visitor(desk: Desk) -> Visitor | None:
    """Who has sent this request, by the cookie."""
    token = cookies.read(cookies.SESSION, secure=desk.secure)
    used = POLL not in request.headers
    session = desk.sessions.find(token, used=used) if token else None
    user = desk.users.get(session.user_id) if session else None
    if session is None or user is None or user.disabled or not session.is_of(user):
        return None
    structlog.contextvars.bind_contextvars(user=user.id)
    return Visitor(user, session, token)


def go(where: str, notice: str = "") -> Any:
    """Send the browser elsewhere in the console; a part of a page takes the whole page there."""
    if notice:
        where += f"{'&' if '?' in where else '?'}notice={notice}"
    if "HX-Request" in request.headers:
        return Response(status=204, headers={"HX-Redirect": where})
    return redirect(where, 303)


def next_page(text: str, otherwise: str = "/console/") -> str:
    """Where a form wants to go on, if that is a page of the console (no open redirect)."""
    parts = _split(text if text.isascii() and text.isprintable() else "")
    local = not parts.scheme and not parts.netloc and "\\" not in text
    return text if local and parts.path.startswith("/console/") and ".." not in text else otherwise


def _here() -> str:
    """The page that is asked for; of a form, or of a part, the page that it stands on."""
    if request.method == "GET" and "HX-Request" not in request.headers:
        return request.full_path.rstrip("?")
    found = _split(request.headers.get("Referer", ""))
    return next_page(found.path + (f"?{found.query}" if found.query else ""))


def _split(text: str) -> SplitResult:
    """An address as it came; an empty one where it is none, such as `//[`."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def _bounded(view: View, most_bytes: int) -> View:
    @wraps(view)
    def answer(**named: Any) -> Any:
        request.max_content_length = most_bytes
        request.max_form_parts = FORM_PARTS
        request.max_form_memory_size = FORM_BYTES
        if (request.content_length or 0) > most_bytes:
            drain(request, request.content_length or 0)
            abort(413)
        return view(**named)

    return answer
