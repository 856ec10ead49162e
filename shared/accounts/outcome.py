"""What came of an act of signing in: values, for pages to show.

`Wrong`, `Wait` and `Weak` are about what was typed; `Refused` says which rule stands against it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.accounts.passwords import Weakness
from shared.accounts.sessions import Session
from shared.accounts.user import User

Why = Literal[
    "link",  # It has been used, has ended, or never was.
    "taken",  # Somebody has that login.
    "login",  # It is no e-mail address.
    "last_owner",  # Nobody could change anything any more.
    "unknown",  # There is no such user.
    "short_password",  # It does not stand without the app.
    "not_now",  # The session has ended, or there is nothing to be done.
]


class Wrong(msgspec.Struct, frozen=True):
    """Login and password, or the code, are not right: never which."""


class Wait(msgspec.Struct, frozen=True):
    """Too many tries."""

    seconds: int


class Weak(msgspec.Struct, frozen=True):
    """The new password is not taken."""

    weaknesses: list[Weakness]


class Refused(msgspec.Struct, frozen=True):
    """A rule stands against it; nothing was done."""

    why: Why


class SignedIn(msgspec.Struct, frozen=True):
    """A session, at its level, under a new token: for the cookie."""

    token: str
    session: Session
    user: User
    device: str = ""
    """A token for the cookie of this browser; empty: it keeps what it has."""


class Codes(msgspec.Struct, frozen=True):
    """A second factor is set up: recovery codes, shown once."""

    codes: list[str]
    signed_in: SignedIn


Outcome = Wrong | Wait | SignedIn
