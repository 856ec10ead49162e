"""The console's pages with 1,000,000 deferred and 200,000 finished messages in the store.

    python -m tests.bench.run pages             # about four minutes; QUICK=1 with a tenth of them

An installation with a console is filled (`tests/support/filling.py`); somebody signed in asks for
each page 30 times over the real server, one after the other. Pages are found as a browser finds
them: those without a name in their path by the console's own list of routes, others by the first
link to one that a page has. Searches that find nothing come to it, because these look furthest.

Then 20,000 messages are accepted over 16 connections, alone and while somebody goes through pages,
in turn: what that takes from whoever sends.
"""

from __future__ import annotations

import html
import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from werkzeug.exceptions import HTTPException

from shared.accounts.sessions import Sessions
from shared.accounts.user import User
from shared.accounts.users import Users, new_id
from shared.clock import SystemClock
from shared.console_settings import ConsoleSettings
from shared.settings import Settings, StoreSettings
from shared.store.redis_records import RedisRecords
from tests.bench.effort import QUICK, Effort
from tests.bench.figure import Figure, Peer
from tests.bench.http_load import percentile
from tests.bench.signing import accepted, singles
from tests.support.console import KEY, ConsoleApi
from tests.support.filling import fill
from tests.support.installation import installation
from tests.support.system import poll
from web.console import cookies

DEFERRED, FINISHED = 1_000_000, 200_000
ASKED, WARM_UPS = 30, 8
BAR_MS = 100.0
ACCEPTED, PAIRS = 20_000, 3
PAUSE_SECONDS = 0.2
"""Between two pages of somebody in a hurry."""
FURTHEST = (
    "/console/messages?recipient=nobody%40nowhere.test",
    "/console/messages?subject=nothing+like+it",
    "/console/messages?status=dead",
)
_LINK = re.compile(r'(?:href|src|hx-get)="(/console/[^"#]*)')


class Browser:
    """Somebody who is signed in, on one connection."""

    def __init__(self, url: str, cookie: str) -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Cookie": cookie, "Accept": "text/html"}
        self._connection = http.client.HTTPConnection(self._place, timeout=20)

    def get(self, path: str) -> tuple[int, str, float]:
        """The status, the page, and how long it took in ms."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - began) * 1000
        return response.status, body.decode(errors="replace"), took

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _sign_in(up: dict[str, Any]) -> Browser:
    console = ConsoleSettings(url=up["console"], key=KEY)
    store = StoreSettings(redis_url=up["redis"], timeout_seconds=10)
    records, clock = RedisRecords(Settings(store=store, console=console)), SystemClock()
    user = User(new_id(), "bench@people.test", "Bench", "owner", clock.now_ms())
    assert Users(records).add(user)
    token, _ = Sessions(records, clock, console).begin(user.id, "full", "127.0.0.1", "bench")
    records.close()
    return Browser(up["console"], f"{cookies.name_of(cookies.SESSION, secure=False)}={token}")


@contextmanager
def _filled(effort: Effort) -> Iterator[tuple[dict[str, Any], Browser]]:
    """An installation whose relay does not answer, full, and somebody signed in."""
    share = 10 if effort is QUICK else 1
    with installation("--smtp-relay", "smtp://127.0.0.1:9", "--workers", "1") as up:
        now_ms = time.time_ns() // 1_000_000
        fill(up["redis"], now_ms, deferred=DEFERRED // share, finished=FINISHED // share)
        _settle_down(up["redis"])
        yield up, _sign_in(up)


def _settle_down(url: str) -> None:
    """Wait until the store writes its file anew no more."""
    client = redis.Redis.from_url(url, socket_timeout=10)
    client.config_set("auto-aof-rewrite-percentage", 0)

    def done() -> bool:
        facts: Any = client.info("persistence")
        return not facts["aof_rewrite_in_progress"]

    poll(done, 120)
    client.close()


def _paths(browser: Browser, url: str) -> list[str]:
    """A path for each page that there is a way to."""
    api = ConsoleApi(url=url)
    rules, places = api.pages.rules, api.app.url_map.bind(urlsplit(url).netloc)
    asked = {
        name: f"/console{rule.path}"
        for name, rule in rules.items()
        if rule.method == "GET" and "<" not in rule.path
    }
    found: dict[str, str] = {}
    api.close()
    while asked:
        name, path = asked.popitem()
        status, page, _ = browser.get(path)
        assert status < 500, f"{path}: {status}"
        found[name] = path if status == 200 else ""
        for link in map(html.unescape, _LINK.findall(page)):
            try:
                where, _ = places.match(urlsplit(link).path)
            except HTTPException:
                continue
            if where in rules and where not in found:
                asked.setdefault(where, link)
    missed = sorted(rules[name].path for name in rules.keys() - found.keys()
                    if rules[name].method == "GET")  # fmt: skip
    print(f"no way found to: {', '.join(missed) or 'none'}", flush=True)
    return sorted(path for path in found.values() if path)


def _asked(browser: Browser, path: str) -> list[Figure]:
    for _ in range(WARM_UPS):
        browser.get(path)
    answers = [browser.get(path) for _ in range(ASKED)]
    assert {status for status, _, _ in answers} == {200}, path
    took = tuple(ms for _, _, ms in answers)
    name = re.sub(r"[0-9a-f]{16,}", "ID", path)
    return [
        Figure(name, took, "ms", "lower", must=BAR_MS),
        Figure(f"{name}, p95", (percentile(list(took), 0.95),), "ms", "lower", must=BAR_MS),
    ]


def _rate(up: dict[str, Any], count: int, first: int) -> float:
    """Messages accepted a second."""
    return count / accepted(singles(up, count, first)).seconds


def _beside(
    up: dict[str, Any], browser: Browser, paths: list[str], count: int, first: int
) -> float:
    """Messages accepted a second while somebody goes through the pages."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in paths:
                browser.get(path)
                if over.wait(PAUSE_SECONDS):
                    return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        return _rate(up, count, first)
    finally:
        over.set()
        thread.join()


def pages(effort: Effort) -> list[Figure]:
    """Each page, and what pages take from accepting."""
    with _filled(effort) as (up, browser):
        paths = _paths(browser, up["console"])
        if any(path.startswith("/console/messages") for path in paths):
            paths += FURTHEST
        figures = [figure for path in paths for figure in _asked(browser, path)]
        alone, beside = [], []
        count = effort.single_messages if effort is QUICK else ACCEPTED
        for turn in range(PAIRS):
            alone.append(_rate(up, count, 2 * turn * count))
            beside.append(_beside(up, browser, paths, count, (2 * turn + 1) * count))
        browser.close()
    peer = Peer("while nobody does", tuple(alone))
    name = "single accept, 16 connections, while somebody goes through pages"
    return [*figures, Figure(name, tuple(beside), "/s", peers=(peer,))]
