"""A real browser on a running installation: headless Chromium, driven by Playwright.

Whatever a page loads from elsewhere, whatever its scripts or its policy complain about, and
whatever axe finds serious, is an error of the test.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from shared.accounts.accounts import accounts_of
from shared.accounts.user import Role, User
from shared.accounts.users import new_id
from shared.clock import SystemClock
from shared.config import load
from shared.secret_files import console_keys_of
from shared.settings import Settings
from shared.store.redis_records import RedisRecords
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from web.console import cookies

REFUSED = "nobody@refused.test"
"""The address that the strict relay knows nobody at; everybody else there is known."""
SERIOUS = ("serious", "critical")
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 375, "height": 740}


def chromium() -> str:
    """Chromium's path; without one the test is skipped, with CI=true it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("chromium is not installed")
    pytest.skip("chromium is not on PATH")


@contextmanager
def launched() -> Iterator[Browser]:
    """Chromium, headless."""
    path = chromium()
    with sync_playwright() as playwright:
        # Chromium's sandbox needs a user of its own, which a container's root does not have.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        try:
            yield browser
        finally:
            browser.close()


class System:
    """An installation whose mail goes to its inbox, and that for refused.test to a strict relay."""

    def __init__(self, facts: dict[str, Any], strict: SmtpServer) -> None:
        self.facts = facts
        self.strict = strict
        self.url: str = facts["console"]
        self.inbox: str = facts["inbox"]
        home: Path = facts["home"]
        environment = {
            "POSTHASTE_STORE_REDIS_URL": facts["redis"],
            "POSTHASTE_CONSOLE_URL": self.url,
            "POSTHASTE_CONSOLE_KEY_FILE": str(home / "console-key"),
        }
        self.settings: Settings = load(home / "posthaste.toml", environment=environment)
        self.records = RedisRecords(self.settings)
        console = self.settings.console
        keys = console_keys_of(console)
        self.accounts = accounts_of(self.records, SystemClock(), console, keys)
        self.users, self.sessions = self.accounts.users, self.accounts.sessions

    def user(self, role: Role = "owner", **fields: Any) -> User:
        """A new user."""
        login = fields.pop("login", f"{role}-{secrets.token_hex(4)}@people.test")
        now = SystemClock().now_ms()
        user = User(new_id(), login, role.title(), role, now, **fields)
        assert self.users.add(user)
        return user

    def close(self) -> None:
        """End its connections."""
        self.records.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def system(settings: str = "", *options: str) -> Iterator[System]:
    """Start it, with more `settings` in its file."""
    with ExitStack() as stack:
        strict = stack.enter_context(
            SmtpServer(answers={f"RCPT {REFUSED}": "550 5.1.1 <b>no</b> such user here"})
        )
        smtp = _free_port()
        text = (
            '[console]\nfrom_domains = ["shop.test"]\n'
            'mail_from = "Posthaste <console@posthaste.test>"\n'
            f'[[relay]]\nname = "inbox"\nurl = "smtp://127.0.0.1:{smtp}"\n'
            f'[[relay]]\nname = "strict"\nurl = "smtp://127.0.0.1:{strict.port}"\n'
            '[[route]]\nname = "strict"\nrelay = "strict"\nrecipient_domains = ["refused.test"]\n'
        )
        facts = stack.enter_context(
            installation(
                "--workers",
                "2",
                "--web",
                "2",
                "--inbox-smtp",
                str(smtp),
                *options,
                settings=text + settings,
            )
        )
        found = System(facts, strict)
        try:
            yield found
        finally:
            found.close()


class Seat:
    """One browser profile: its page, and what was wrong on it."""

    def __init__(self, context: BrowserContext, world: System) -> None:
        self.context = context
        self.world = world
        self.page: Page = context.new_page()
        self.wrong: list[str] = []
        self.expected: set[int] = set()
        """Statuses that pages are expected to answer; others from 400 on are errors."""
        context.on("request", lambda request: self._watch(request.url))
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))

    def _watch(self, url: str) -> None:
        hosts = (urlsplit(self.world.url).netloc, urlsplit(self.world.inbox).netloc)
        if urlsplit(url).scheme != "data" and urlsplit(url).netloc not in (*hosts, ""):
            self.wrong.append(f"loads {url}")

    def _said(self, kind: str, text: str) -> None:
        words = ("status of", "Status Error Code")  # Chromium's, and htmx's.
        told = any(f"{each} {status} " in text for each in words for status in self.expected)
        if kind in ("error", "warning") and not told:
            self.wrong.append(f"console: {text}")

    def sign_in(self, user: User) -> None:
        """Give it a session of this user, without the pages of signing in."""
        token, _ = self.world.sessions.begin(user.id, "full", "127.0.0.1", "Chromium of a test")
        name = cookies.name_of(cookies.SESSION, secure=False)
        host = urlsplit(self.world.url).hostname or ""
        self.context.add_cookies([{"name": name, "value": token, "domain": host, "path": "/"}])

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(f"{self.world.url}/console{path}")
        return self.page

    def look(self) -> None:
        """Whether axe finds something serious on this page, in either theme and on a phone."""
        for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
            self._look(scheme, size)  # type: ignore[arg-type]
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(WIDE)

    def _look(self, scheme: Literal["light", "dark"], size: ViewportSize) -> None:
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.set_viewport_size(size)
        found = Axe().run(self.page).response["violations"]
        serious = [
            f"{each['id']} at {node['target']}: {node.get('failureSummary', '')[:300]}"
            for each in found
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]
        assert not serious, f"{self.page.url} ({scheme}): " + "\n".join(serious)
        wider = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{self.page.url} is {wider} px too wide at {size['width']} px"

    def check(self) -> None:
        """Nothing was wrong on any page."""
        assert not self.wrong, "\n".join(self.wrong)
