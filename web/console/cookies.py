"""The console's cookies: for this host, for scripts invisible, by TLS only (B26).

On this machine itself there may be no TLS (`console.url` is `http://` and loopback): then they have
neither the prefix nor the attribute that ask for it.
"""

from __future__ import annotations

from flask import Response, request

SESSION = "session"
FORM = "form"
DEVICE = "device"


def name_of(what: str, *, secure: bool) -> str:
    """A cookie's name."""
    return f"{'__Host-' if secure else ''}posthaste-{what}"


def read(what: str, *, secure: bool) -> str:
    """What the browser has sent; empty: nothing."""
    return request.cookies.get(name_of(what, secure=secure), "")[:200]


def put(
    response: Response, what: str, value: str, *, secure: bool, seconds: int | None = None
) -> None:
    """Set one; without `seconds` it goes with the browser."""
    response.set_cookie(
        name_of(what, secure=secure),
        value,
        max_age=seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def drop(response: Response, what: str, *, secure: bool) -> None:
    """Make the browser forget one."""
    put(response, what, "", secure=secure, seconds=0)
