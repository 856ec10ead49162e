"""`posthaste user` on a real store: who gets in again, and what is told of it."""

from __future__ import annotations

import json
from base64 import b32decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shared.accounts.accounts import Accounts, accounts_of
from shared.accounts.actor import Client
from shared.accounts.joining import Form, Joining
from shared.accounts.outcome import Codes, SignedIn, Wait
from shared.accounts.own import Me, Own
from shared.accounts.sign_in import SignIn
from shared.accounts.throttle import FREE
from shared.accounts.totp import STEP_MS, code_at
from shared.cli.main import cli
from shared.clock import SystemClock
from shared.console_settings import ConsoleSettings
from shared.errors import ConfigError
from shared.store.redis_records import RedisRecords
from tests.support.redis_server import RedisServer
from tests.support.stores import settings

URL = "https://console.example.test"
PASSWORD = "seven quiet herons"
HOME = Client("192.0.2.1", "Firefox")


class Console:
    """A store with a console, and the command on it."""

    def __init__(self, server: RedisServer, directory: Path) -> None:
        self.records = RedisRecords(settings(server.url))
        key = directory / "key"
        key.write_text("k" * 32)
        self.environment = {
            "POSTHASTE_STORE_REDIS_URL": server.url,
            "POSTHASTE_CONSOLE_URL": URL,
            "POSTHASTE_CONSOLE_KEY_FILE": str(key),
        }
        console = ConsoleSettings(url=URL, key="k" * 32)
        self.accounts: Accounts = accounts_of(self.records, SystemClock(), console, (b"k" * 32,))
        self.sign_in = SignIn(self.accounts)

    def run(self, *arguments: str) -> Result:
        return CliRunner(env=self.environment).invoke(cli, ["user", *arguments])

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout.strip()

    def refused(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert isinstance(result.exception, ConfigError), result.output
        return str(result.exception)

    def join(self, login: str, role: str = "owner") -> SignedIn:
        link = self.done("create", login, "--role", role, "--name", login.partition("@")[0].title())
        return self.follow(link, "invitation")

    def follow(self, link: str, purpose: str, password: str = PASSWORD) -> SignedIn:
        where, _, token = link.rpartition("/")
        assert where == f"{URL}/console/{purpose}"
        answer = Joining(self.accounts).accept(token, Form(password), HOME)
        assert isinstance(answer, SignedIn), answer
        return answer


@pytest.fixture
def console(redis_server: RedisServer, tmp_path: Path) -> Iterator[Console]:
    redis_server.client().flushall()  # This module's own server.
    found = Console(redis_server, tmp_path)
    yield found
    found.records.close()


def test_whoever_is_invited_joins_and_is_listed(console: Console) -> None:
    console.join("ann@people.test")
    console.done("create", "bob@people.test", "--role", "operator")
    rows = json.loads(console.done("list", "--json"))["data"]
    assert [(row["login"], row["role"], row["state"], row["name"]) for row in rows] == [
        ("ann@people.test", "owner", "active", "Ann"),
        ("bob@people.test", "operator", "invited", ""),
    ]
    table = console.done("list")
    assert "ann@people.test" in table
    assert "invited" in table
    assert "argon2" not in json.dumps(rows) + table
    assert "there is a user" in console.refused("create", "Ann@People.test")
    assert "an e-mail address" in console.refused("create", "ann")


def test_whoever_is_locked_out_gets_in_again(console: Console) -> None:
    console.join("ann@people.test")
    for _ in range(FREE):
        console.sign_in.attempt("ann@people.test", "wrong", HOME)
    elsewhere = Client("192.0.2.2")
    assert isinstance(console.sign_in.attempt("ann@people.test", PASSWORD, elsewhere), Wait)
    assert "may try again" in console.done("unlock", "ANN@people.test")
    assert isinstance(console.sign_in.attempt("ann@people.test", PASSWORD, elsewhere), SignedIn)
    done = console.follow(console.done("link", "ann@people.test"), "reset", "a new quiet password")
    assert done.session.level == "full"


def test_whoever_has_lost_the_second_factor_goes_on_without(console: Console) -> None:
    done = console.join("ann@people.test")
    app = _with_app(console, done)
    link = console.done("link", "ann@people.test")
    assert console.follow(link, "reset", "a new quiet password").session.level == "password"
    link = console.done("link", "ann@people.test", "--without-second-factor")
    assert console.accounts.sessions.find(app.signed_in.token) is None
    assert console.follow(link, "reset", "a newer quiet password").session.level == "full"
    by_cli = {each.act for each in console.records.trail() if each.who == "cli"}
    assert by_cli >= {"reset.made", "second_factor.removed", "invitation.made"}


def _with_app(console: Console, done: SignedIn) -> Codes:
    own = Own(console.accounts)
    me = Me(done.user, done.session, done.token, HOME)
    setup = own.new_app(me)
    step = console.accounts.clock.now_ms() // STEP_MS
    answer = own.add_app(me, setup.sealed, code_at(b32decode(setup.secret), step))
    assert isinstance(answer, Codes)
    return answer


def test_roles_and_who_may_come_in(console: Console) -> None:
    ann = console.join("ann@people.test")
    assert "last owner" in console.refused("role", "ann@people.test", "reader")
    assert "last owner" in console.refused("disable", "ann@people.test")
    console.join("bob@people.test")
    assert console.done("role", "ann@people.test", "reader") == "ann@people.test is reader now"
    assert console.accounts.sessions.find(ann.token) is None
    assert "so already" in console.refused("role", "ann@people.test", "reader")
    assert console.done("disable", "ann@people.test") == "ann@people.test is disabled"
    assert "enable it first" in console.refused("link", "ann@people.test")
    assert console.done("enable", "ann@people.test") == "ann@people.test is enabled"
    again = console.sign_in.attempt("ann@people.test", PASSWORD, HOME)
    assert isinstance(again, SignedIn)
    assert console.done("sign-out", "ann@people.test") == "ann@people.test is signed out"
    assert console.accounts.sessions.find(again.token) is None


@pytest.mark.parametrize(
    "arguments",
    [("link",), ("disable",), ("enable",), ("unlock",), ("sign-out",), ("role", "reader")],
)
def test_of_nobody_nothing_is_done(console: Console, arguments: tuple[str, ...]) -> None:
    name, *others = arguments
    result = console.run(name, "no\x1b[31mbody", *others)
    assert result.exit_code == 1
    assert "there is no user no\ufffd[31mbody" in result.stderr
    assert result.stdout == ""
    assert console.records.trail() == []


def test_without_a_console_there_is_no_link(console: Console) -> None:
    console.join("ann@people.test")
    for name in ("POSTHASTE_CONSOLE_URL", "POSTHASTE_CONSOLE_KEY_FILE"):
        del console.environment[name]
    assert "console.url" in console.refused("create", "bob@people.test")
    assert "console.url" in console.refused("link", "ann@people.test")
    assert console.accounts.links.invitations() == []
    assert console.run("list").exit_code == 0
