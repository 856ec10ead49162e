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
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import (
    APIResponse,
    Browser,
    BrowserContext,
    Dialog,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from shared.accounts.accounts import accounts_of
from shared.accounts.sessions import Level
from shared.accounts.user import Role, User
from shared.accounts.users import new_id
from shared.clock import SystemClock
from shared.config import load
from shared.secret_files import console_keys_of
from shared.settings import Settings
from shared.store.redis_records import RedisRecords
from tests.support.installation import installation
from tests.support.smtp_server import SmtpServer
from tests.support.system import System as Api
from tests.support.system import poll
from web.console import cookies

REFUSED = "nobody@refused.test"
"""The address that the strict relay knows nobody at; everybody else there is known."""
REFUSAL = "550 5.1.1 <b onclick=alert(1)>no</b> such user here"
SHORT = """
[worker]
max_crashes = 1
lease_seconds = 3.0
lease_margin_seconds = 1.0
[web]
max_message_bytes = 200000
"""
"""A message whose worker dies once is a dead letter, soon; and a file is soon too large."""
XSS = "__xss"
"""What a script that gets into a page calls: that it ran is an error of the test."""
SERIOUS = ["serious", "critical"]
_AXE = """async ([serious, only]) => {
    // The page has had its turn at its new width.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const options = { resultTypes: ["violations"], iframes: false };
    if (only.length) options.runOnly = { type: "rule", values: only };
    const found = (await axe.run(document, options)).violations;
    return found.filter((each) => serious.includes(each.impact)).flatMap((each) =>
        each.nodes.map((node) => `${each.id} at ${node.target}: ${node.failureSummary}`));
}"""
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


def in_an_hour() -> str:
    """For `send_at`: such a message waits, with all of its content."""
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@cache
def _axe_source() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


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
        self.api = Api(facts, strict)
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
        name = fields.pop("name", role.title())
        user = User(new_id(), login, name, role, now, **fields)
        assert self.users.add(user)
        return user

    def send(self, **fields: Any) -> str:
        """Submit a message by the API that must be accepted; its id."""
        return self.api.send(to="ann@people.test", **fields)

    def page(self, path: str) -> str:
        """The address of a page of the console."""
        return f"{self.url}/console{path}"

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
        strict = stack.enter_context(SmtpServer(answers={f"RCPT {REFUSED}": REFUSAL}))
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
                settings=text + SHORT + settings,
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
        self.wrong: list[str] = []
        self.expected: set[int] = set()
        """Statuses that pages are expected to answer; others from 400 on are errors."""
        context.expose_binding(XSS, lambda source, *_: self.wrong.append(f"ran: {source}"))
        context.on("request", lambda request: self._watch(request.url))
        context.on("console", lambda said: self._said(said.type, said.text))
        context.on("dialog", self._asked)
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        self.page: Page = context.new_page()

    def _watch(self, url: str) -> None:
        hosts = (urlsplit(self.world.url).netloc, urlsplit(self.world.inbox).netloc)
        if urlsplit(url).scheme != "data" and urlsplit(url).netloc not in (*hosts, ""):
            self.wrong.append(f"loads {url}")

    def _said(self, kind: str, text: str) -> None:
        words = ("status of", "Status Error Code")  # Chromium's, and htmx's.
        told = any(f"{each} {status} " in text for each in words for status in self.expected)
        if kind in ("error", "warning") and not told:
            self.wrong.append(f"console: {text}")

    def _asked(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def sign_in(self, user: User, level: Level = "full") -> None:
        """Give it a session of this user, without the pages of signing in."""
        token, session = self.world.sessions.begin(user.id, level, "127.0.0.1", "A test's Chromium")
        self._csrf = session.csrf
        name = cookies.name_of(cookies.SESSION, secure=False)
        host = urlsplit(self.world.url).hostname or ""
        self.context.add_cookies([{"name": name, "value": token, "domain": host, "path": "/"}])

    def post(self, path: str, **fields: str) -> APIResponse:
        """Send a form without its page; the answer, not where it leads."""
        return self.context.request.post(
            self.world.page(path),
            form={**fields, "csrf": self._csrf},
            headers={"Origin": self.world.url},
            max_redirects=0,
        )

    def get(self, path: str) -> str:
        """The text of a page, not shown."""
        return self.context.request.get(self.world.page(path)).text()

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(self.world.page(path))
        return self.page

    def captured(self, subject: str) -> dict[str, Any]:
        """The newest message with this subject in the inbox, as its API tells it."""
        found: list[Any] = []

        def look() -> bool:
            answer = self.context.request.get(f"{self.world.inbox}/api/messages")
            found[:] = [each for each in answer.json()["messages"] if each["subject"] == subject]
            return bool(found)

        poll(look)
        answer = self.context.request.get(f"{self.world.inbox}/api/messages/{found[0]['id']}")
        letter: dict[str, Any] = answer.json()
        return letter

    def audited(self, login: str, *acts: str) -> None:
        """The audit page says that this user did these."""
        self.open(f"/audit?who={quote(login)}")
        rows = self.page.locator("tbody tr")
        for act in acts:
            expect(rows.filter(has=self.page.get_by_text(act, exact=True)).first).to_be_visible()

    def look(self) -> None:
        """Whether axe finds something serious on this page, in either theme and on a phone."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_axe_source())
        for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
            self._look(scheme, size)  # type: ignore[arg-type]
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(WIDE)

    def _look(self, scheme: Literal["light", "dark"], size: ViewportSize) -> None:
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.set_viewport_size(size)
        # Another theme has other colours, and the rest is as it was.
        only = ["color-contrast"] if scheme == "dark" else []
        found = self.page.evaluate(_AXE, [SERIOUS, only])
        assert not found, f"{self.page.url} ({scheme}): " + "\n".join(found)
        wider = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{self.page.url} is {wider} px too wide at {size['width']} px"

    def check(self) -> None:
        """Nothing was wrong on any page."""
        assert not self.wrong, "\n".join(self.wrong)
