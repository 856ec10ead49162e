"""Tabs of one window that hide each other, as a person's do.

Playwright holds every page that it drives visible, so these are opened and asked by the protocol of
the developer tools alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from tests.support.system import poll


class Tab:
    """One of them."""

    def __init__(self, session: CDPSession, target: str, turns: Page) -> None:
        self._session = session
        self._target = target
        self._turns = turns
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        attached = session.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        self._id = attached["sessionId"]
        session.on("Target.receivedMessageFromTarget", self._hear)

    def show(self) -> None:
        """Bring it to the front."""
        self._session.send("Target.activateTarget", {"targetId": self._target})

    def ask(self, expression: str) -> Any:
        """The value of an expression on its page; None while that is not there yet."""
        self._asked += 1
        number = self._asked
        params = {"expression": expression, "returnByValue": True}
        message = {"id": number, "method": "Runtime.evaluate", "params": params}
        self._session.send(
            "Target.sendMessageToTarget", {"sessionId": self._id, "message": json.dumps(message)}
        )
        poll(lambda: self._turns.evaluate("1") and number in self._answers)
        answer = self._answers[number].get("result", {})
        return answer.get("result", {}).get("value")

    def _hear(self, event: dict[str, Any]) -> None:
        if event["sessionId"] == self._id:
            message = json.loads(event["message"])
            self._answers[message.get("id", 0)] = message


@contextmanager
def tabs(browser: Browser, cookie: dict[str, str], *urls: str) -> Iterator[list[Tab]]:
    """One for each URL, in one window, with this cookie; the last is in front."""
    session = browser.new_browser_cdp_session()
    turns = browser.new_page()  # Whatever asks it something lets the events of others through.
    profile = session.send("Target.createBrowserContext")["browserContextId"]
    try:
        session.send("Storage.setCookies", {"browserContextId": profile, "cookies": [cookie]})
        made = []
        for url in urls:
            wanted = {"url": url, "browserContextId": profile}
            target = session.send("Target.createTarget", wanted)["targetId"]
            made.append(Tab(session, target, turns))
        yield made
    finally:
        session.send("Target.disposeBrowserContext", {"browserContextId": profile})
        turns.close()
