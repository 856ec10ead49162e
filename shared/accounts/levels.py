"""What a user's session may do after signing in. Pure.

A short password stands only together with an app: a code by mail is as easy to get as a new
password by mail.
"""

from __future__ import annotations

from shared.accounts.sessions import Level
from shared.accounts.user import SecondFactor, User
from shared.console_settings import ConsoleSettings

_DAY_MS = 86_400_000


def factor_of(user: User, settings: ConsoleSettings) -> SecondFactor:
    """The second step that this user takes now: codes by mail may have been turned off since."""
    if user.second_factor == "email" and not settings.email_codes:
        return "none"
    return user.second_factor


def must_change(user: User, settings: ConsoleSettings, now_ms: int) -> bool:
    """Whether the password is too old."""
    days = settings.password_max_age_days
    return days > 0 and now_ms - user.password_ms >= days * _DAY_MS


def must_set_up(user: User, settings: ConsoleSettings) -> bool:
    """Whether a second factor is missing; with a password too short to stand alone, an app."""
    if not user.password_alone:
        return user.second_factor != "totp"
    return settings.require_two_factor and factor_of(user, settings) == "none"


def level_of(user: User, settings: ConsoleSettings, now_ms: int) -> Level:
    """After all steps of signing in."""
    missing = must_change(user, settings, now_ms) or must_set_up(user, settings)
    return "setup" if missing else "full"


def first_level_of(user: User, settings: ConsoleSettings, now_ms: int) -> Level:
    """After the password alone."""
    if factor_of(user, settings) != "none":
        return "password"
    return level_of(user, settings, now_ms)
