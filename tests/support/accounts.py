"""People who can sign in to the console of a test, and browsers that fill its forms."""

from __future__ import annotations

from typing import Any

import msgspec
from pyotp import TOTP
from werkzeug.test import TestResponse

from shared.accounts.recovery import new_codes
from shared.accounts.totp import new_seed, secret_of
from shared.accounts.user import Role, User
from tests.support.console import Browser, ConsoleApi
from web.console import cookies

PASSWORD = "seven grey herons at dusk"


class Person(msgspec.Struct):
    """A user, what he knows, and what he has."""

    user: User
    password: str
    seed: bytes = b""
    recovery: tuple[str, ...] = ()


def person(
    console: ConsoleApi,
    role: Role = "operator",
    login: str = "",
    *,
    password: str = PASSWORD,
    app: bool = False,
    **fields: Any,
) -> Person:
    """A new one; with `app` the second factor is an authenticator app."""
    accounts = console.desk.accounts
    values = {
        "password": accounts.passwords.hash(password),
        "password_ms": console.clock.now_ms(),
        "password_alone": accounts.passwords.stands_alone(password),
        **fields,
    }
    user = console.user(role, login, **values)
    if not app:
        return Person(user, password)
    seed, (shown, digests) = new_seed(), new_codes()
    sealed = accounts.sealer.seal(user.id, seed)

    def changed(now: User) -> User:
        return msgspec.structs.replace(
            now, second_factor="totp", totp_seed=sealed, recovery_codes=digests
        )

    done = accounts.users.change(user.id, changed)
    assert done is not None
    return Person(done, password, seed, tuple(shown))


def code_of(console: ConsoleApi, seed: bytes) -> str:
    """What the person's app shows now."""
    return TOTP(secret_of(seed)).at(console.clock.now_ms() // 1000)


def first_step(browser: Browser, who: Person, **fields: str) -> TestResponse:
    """The form of login and password."""
    given = {"login": who.user.login, "password": who.password, **fields}
    return browser.post("/sign-in", given, page="/sign-in")


def second_step(browser: Browser, code: str, kind: str = "totp") -> TestResponse:
    """The form of the second step."""
    name = "recovery" if kind == "recovery" else "code"
    page = "/sign-in/second-step"
    return browser.post(page, {"kind": kind, name: code}, page=page)


def enter(console: ConsoleApi, who: Person, **fields: str) -> Browser:
    """A browser that has signed in through the pages."""
    browser = console.browser()
    assert first_step(browser, who, **fields).status_code == 303
    if who.seed:
        assert second_step(browser, code_of(console, who.seed)).status_code == 303
    return browser


def cookie(browser: Browser, what: str) -> str:
    """A cookie's value; empty: the browser has none."""
    found = browser.client.get_cookie(cookies.name_of(what, secure=True), "console.example.test")
    return found.value if found else ""


def is_in(browser: Browser) -> bool:
    """Whether it sees the first page."""
    return browser.get("/").status_code == 200
