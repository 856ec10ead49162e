"""That a form was ours and was sent from our own page (B25).

Two things are asked of every POST: the browser says that it comes from this origin (`Origin`,
`Sec-Fetch-Site`), and the form has the token that only our page could know: the session's, or,
where nobody is signed in yet, one that belongs to a cookie of this browser.
"""

from __future__ import annotations

import hmac
import secrets

from flask import Response, g, request

from web.console import cookies
from web.console.desk import Desk, Visitor
from web.errors import Problem

FIELD, HEADER = "csrf", "X-CSRF"
_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def check(desk: Desk, visitor: Visitor | None) -> None:
    """Raise a `Problem` unless this POST is one of our own forms."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if (origin is not None and origin != desk.console.url) or site != "same-origin":
        raise Problem(403, "other_origin", "This was sent from another page. Nothing was done.")
    if request.mimetype not in _TYPES:
        raise Problem(415, "unsupported_media_type", "This is no form.")
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if not _same(given, visitor.session.csrf if visitor else _form_token(desk)):
        raise Problem(
            403,
            "form_expired",
            "This page was open for too long, or you have signed in again since. Nothing was done:"
            " go back, reload the page, and try again.",
        )


def token(desk: Desk, visitor: Visitor | None) -> str:
    """The token for the forms of this page."""
    if visitor is not None:
        return visitor.session.csrf
    if not cookies.read(cookies.FORM, secure=desk.secure) and "form_cookie" not in g:
        g.form_cookie = secrets.token_urlsafe(24)
    return _form_token(desk)


def keep(desk: Desk, response: Response) -> None:
    """Set the cookie that such a token belongs to."""
    if "form_cookie" in g:
        cookies.put(response, cookies.FORM, g.form_cookie, secure=desk.secure)


def _form_token(desk: Desk) -> str:
    cookie = g.get("form_cookie") or cookies.read(cookies.FORM, secure=desk.secure)
    return hmac.digest(desk.key("forms"), cookie.encode(), "sha256").hex() if cookie else ""


def _same(given: str, wanted: str) -> bool:
    return bool(wanted) and hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
