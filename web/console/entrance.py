"""What the pages of signing in have in common: a session under a new token, and what is told of it.

Takes outcomes of `shared.accounts`, gives answers with cookies, and words for what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, make_response, render_template

from shared.accounts.outcome import Codes, SignedIn, Wait
from shared.accounts.own import Me
from shared.accounts.sessions import Level
from shared.accounts.user import User
from web.console import cookies
from web.console.agents import browser_of
from web.console.desk import Desk, Visitor
from web.console.letter_texts import Occasion
from web.console.letters import Letter, Letters
from web.console.pages import SECOND_STEP, SETUP, go

_DEVICE_SECONDS = 365 * 24 * 3600
_NEXT: dict[Level, str] = {"password": SECOND_STEP, "setup": SETUP}


def host_of(desk: Desk) -> str:
    """The console's name, as letters say it."""
    return urlsplit(desk.console.url).netloc


def enter(desk: Desk, signed_in: SignedIn, where: str, notice: str = "") -> Response:
    """On to `where`, or to the step that comes before it, with the session's cookie."""
    step = _NEXT.get(signed_in.session.level)
    answer = go(where, notice) if step is None else go(f"{step}?next={quote(where, safe='/')}")
    return with_cookies(desk, answer, signed_in)


def with_cookies(desk: Desk, answer: Any, signed_in: SignedIn) -> Response:
    """An answer that gives the browser its session, and what it is known by."""
    response = make_response(answer)
    cookies.put(response, cookies.SESSION, signed_in.token, secure=desk.secure)
    if signed_in.device:
        cookies.put(
            response, cookies.DEVICE, signed_in.device, secure=desk.secure, seconds=_DEVICE_SECONDS
        )
    return response


def tell(desk: Desk, user: User, text: Callable[[Occasion], Letter]) -> None:
    """Send the user a notice of what was done just now; the answer does not wait for it."""
    client, letters = desk.client(), Letters(desk)
    at = Occasion(host_of(desk), desk.now_ms(), browser_of(client.agent), client.address)
    if letters.can_send:
        desk.afterwards.do(lambda: letters.send(user.login, text(at)))


def wait_text(wait: Wait) -> str:
    """How long to wait, for a person."""
    if wait.seconds < 100:
        unit = "second" if wait.seconds == 1 else "seconds"
        return f"Too many tries. Try again in {wait.seconds} {unit}."
    return f"Too many tries. Try again in {-(-wait.seconds // 60)} minutes."


def refused(page: str, wait: Wait | None = None) -> Response:
    """A form again, with what is wrong in it; 429 where it is the number of tries."""
    response = make_response(page, 422 if wait is None else 429)
    if wait is not None:
        response.headers["Retry-After"] = str(wait.seconds)
    return response


def codes_page(desk: Desk, outcome: Codes, done: str, where: str) -> Response:
    """New recovery codes, which are shown on this page only, and the session's cookie."""
    step = _NEXT.get(outcome.signed_in.session.level)
    page = render_template(
        "console/account/recovery_codes.html", codes=outcome.codes, done=done, next=step or where
    )
    return with_cookies(desk, page, outcome.signed_in)


def me_of(desk: Desk, visitor: Visitor) -> Me:
    """Who acts on the own account."""
    return Me(visitor.user, visitor.session, visitor.token, desk.client())
