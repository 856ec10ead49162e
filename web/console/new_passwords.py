"""What pages say where a password is chosen; the rules are those of `shared.accounts.passwords`."""

from __future__ import annotations

from typing import Any

from shared.accounts.app import AppSetup
from shared.accounts.outcome import Weak
from shared.console_settings import ConsoleSettings
from web.console.picture import Picture, picture_of

_CLASSES = ("", "", "two kinds", "three kinds", "all four kinds")


def asked(settings: ConsoleSettings, *, two_factor: bool, or_app: bool = False) -> dict[str, Any]:
    """For a template: how long it must be, and that in words; with `or_app` a shorter one is taken
    together with an app that is set up on the same page."""
    alone, with_app = settings.password_min_length, settings.password_min_length_two_factor
    shorter = min(alone, with_app)
    least = shorter if two_factor else alone
    text = f"{least} characters or more. Any are allowed, spaces too: a few words are good."
    if or_app and shorter < alone:
        text += f" {shorter} are enough with an authenticator app, set up below."
    if settings.password_classes > 1:
        text += (
            f" It needs {_CLASSES[settings.password_classes]} of: lower case, upper case, digits,"
            " others."
        )
    return {
        "least": least,
        "minimum": shorter if or_app else least,
        "kinds": settings.password_classes,
        "password_help": text,
    }


def against(weak: Weak) -> str:
    """Everything that stands against it."""
    return " ".join(each.detail for each in weak.weaknesses)


def shown(setup: AppSetup) -> dict[str, str | Picture]:
    """For a template: what an authenticator app reads."""
    secret = setup.secret
    return {
        "picture": picture_of(setup.uri),
        "uri": setup.uri,
        "sealed": setup.sealed,
        "spaced": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }
