"""The console on the in-memory store, without a network: browsers of people with any role."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from flask import Blueprint
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.test import TestResponse

from shared.accounts.sessions import Level, Session
from shared.accounts.user import Role, User
from shared.accounts.users import new_id
from shared.console_settings import ConsoleSettings
from shared.settings import Settings
from tests.support.api import Api
from web.console import cookies
from web.console.blueprint import desk_of
from web.console.pages import Pages

URL = "https://console.example.test"
KEY = "0123456789abcdef0123456789abcdef"
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class _Compiled(BytecodeCache):
    """Templates are compiled once for all tests of a process, not for each."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """See the base."""
        if bucket.key in self._packed:
            bucket.bytecode_from_string(self._packed[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See the base."""
        self._packed[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


class ConsoleApi(Api):
    """The API with a console, `desk` and `pages` of it."""

    def __init__(self, settings: Settings | None = None, **console: Any) -> None:
        values = {
            "url": URL,
            "key": KEY,
            "from_domains": ("example.test",),
            "mail_from": "Posthaste <posthaste@example.test>",
            **console,
        }
        super().__init__(
            msgspec.structs.replace(settings or Settings(), console=ConsoleSettings(**values))
        )
        self.app.test_client_class = FlaskClient
        self.app.jinja_env.bytecode_cache = _COMPILED
        self.desk = desk_of(self.context)
        self.pages: Pages = self.app.extensions.get(
            "console", Pages(Blueprint("none", __name__), self.desk)
        )
        self.desk = self.pages.desk

    def close(self) -> None:
        """End its threads."""
        self.desk.afterwards.stop()
        super().close()

    def user(self, role: Role = "owner", login: str = "", **fields: Any) -> User:
        """A new user."""
        login = login or f"{role}@people.test"
        user = User(new_id(), login, role.title(), role, self.clock.now_ms(), **fields)
        assert self.desk.users.add(user)
        return user

    def browser(self) -> Browser:
        """Of nobody who is signed in."""
        return Browser(self)

    def signed_in(self, role: Role = "owner", level: Level = "full", **fields: Any) -> Browser:
        """Of a new user, without the pages of signing in."""
        browser = Browser(self)
        browser.sign_in(self.user(role, **fields), level)
        return browser


class Browser:
    """Keeps cookies, sends what Chromium sends, and fills forms."""

    user: User
    session: Session

    def __init__(self, api: ConsoleApi) -> None:
        self._api = api
        self.client: FlaskClient = api.app.test_client()

    def sign_in(self, user: User, level: Level = "full") -> None:
        """Give it a session."""
        token, self.session = self._api.desk.sessions.begin(user.id, level, "192.0.2.1", "test")
        self.user = user
        self.set_cookie(cookies.SESSION, token)

    def set_cookie(self, what: str, value: str) -> None:
        """Any of the console's cookies."""
        host = URL.partition("//")[2]
        self.client.set_cookie(cookies.name_of(what, secure=True), value, domain=host, secure=True)

    def get(self, path: str, **options: Any) -> TestResponse:
        """A page."""
        return self.client.get(f"/console{path}", base_url=URL, **options)

    def post(
        self,
        path: str,
        data: dict[str, Any] | None = None,
        *,
        page: str = "",
        headers: dict[str, str] | None = None,
        csrf: bool = True,
        **options: Any,
    ) -> TestResponse:
        """A form, with the token of `page`, or of the session."""
        fields = dict(data or {})
        if csrf:
            fields["csrf"] = self.token(page) if page else self.session.csrf
        if not fields:
            options.setdefault("content_type", "application/x-www-form-urlencoded")
        return self.client.post(
            f"/console{path}",
            base_url=URL,
            data=fields,
            headers={"Origin": URL, "Sec-Fetch-Site": "same-origin", **(headers or {})},
            **options,
        )

    def token(self, page: str) -> str:
        """The token of the forms on a page."""
        found = _TOKEN.search(self.get(page).text)
        assert found, f"no form on {page}"
        return found[1]
