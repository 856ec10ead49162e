"""What the console's letters say. Pure.

Names are text that somebody chose: `_plain` leaves no line break in them, and no address that a
mail program would make a link of.
"""

from __future__ import annotations

import re

import msgspec

from web.console.letters import Letter
from web.console.show import time

_NOT_YOU = "If this was not you, change your password now, and tell an owner of this installation."
_LINKING = re.compile(r"[^\w .,'’-]")


class Occasion(msgspec.Struct, frozen=True):
    """When and where something was done to an account."""

    host: str
    """Of the console."""
    at_ms: int
    browser: str
    """As `browser_of` calls it."""
    address: str


def invitation(host: str, by: str, link: str, ends_ms: int) -> Letter:
    """To somebody who is to use the console at `host`; `by`: the name of who invites."""
    return Letter(
        "Invitation to Posthaste",
        (
            f"{_plain(by) or 'An owner'} invites you to the mail console at {host}.",
            f"Choose a password by this link. It works once, until {_until(ends_ms)}.",
            "If you do not know what this is about, ignore it: nothing happens then.",
        ),
        link=link,
        ends_ms=ends_ms,
    )


def reset(host: str, link: str, ends_ms: int) -> Letter:
    """To a user who has asked for a new password."""
    return Letter(
        "A new password for Posthaste",
        (
            f"Somebody has asked for a new password for your account at {host}.",
            f"Choose a password by this link. It works once, until {_until(ends_ms)}.",
            "If it was not you, ignore this: your password stays as it is.",
        ),
        link=link,
        ends_ms=ends_ms,
    )


def code(host: str, code: str, ends_ms: int) -> Letter:
    """The second step of a sign-in."""
    return Letter(
        "Your code for Posthaste",
        (
            f"Your code to sign in at {host}:",
            f"It works once, until {_until(ends_ms)}, in the browser that asked for it.",
            "If you are not signing in just now, somebody knows your password: change it.",
        ),
        code=code,
        ends_ms=ends_ms,
    )


def password_changed(at: Occasion) -> Letter:
    """After a change or a reset."""
    return _notice("Your password was changed", "The password", "was changed", at)


def second_factor_set(at: Occasion) -> Letter:
    """After a second factor was set up or exchanged."""
    return _notice("A second factor was set up", "A second factor", "was set up", at)


def second_factor_removed(at: Occasion) -> Letter:
    """After it was taken away."""
    return _notice("Your second factor was removed", "The second factor", "was removed", at)


def recovery_codes_changed(at: Occasion) -> Letter:
    """After new ones were made."""
    return _notice("Your recovery codes were replaced", "The recovery codes", "were replaced", at)


def recovery_code_used(at: Occasion) -> Letter:
    """After one was used to sign in."""
    return _notice("A recovery code was used", "A recovery code", "was used to sign in", at)


def signed_in(at: Occasion) -> Letter:
    """After a sign-in by a browser that has not been seen before."""
    where = f"{at.browser}, from {at.address}, at {_until(at.at_ms)}"
    said = f"A browser that was not known before has signed in to your account at {at.host}: "
    return Letter("New sign-in to Posthaste", (f"{said}{where}.", _NOT_YOU))


def _notice(subject: str, what: str, done: str, at: Occasion) -> Letter:
    where = f"{at.browser}, from {at.address}, at {_until(at.at_ms)}"
    return Letter(subject, (f"{what} of your account at {at.host} {done}: {where}.", _NOT_YOU))


def _until(ms: int) -> str:
    return f"{time(ms)} UTC"


def _plain(name: str) -> str:
    return " ".join(_LINKING.sub(" ", name).replace(".", " ").split())[:80]
