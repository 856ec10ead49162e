"""One Chromium and one installation for the tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import need_redis
from tests.support.browser import WIDE, Seat, System, launched, system

# What is waited for comes soon; on a busy machine later.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def world(chromium: Browser) -> Iterator[System]:
    """The installation; where there is no browser it is not started."""
    del chromium
    need_redis()
    with system() as found:
        yield found


@pytest.fixture
def seat(chromium: Browser, world: System) -> Iterator[Callable[..., Seat]]:
    """Makes browser profiles (`options`: Playwright's); at the end none may have had a fault."""
    with ExitStack() as stack:
        made: list[Seat] = []

        def make(**options: Any) -> Seat:
            context = chromium.new_context(**{"viewport": WIDE, **options})
            context.set_default_timeout(PATIENCE_MS)
            stack.callback(context.close)
            made.append(Seat(context, world))
            return made[-1]

        yield make
        for each in made:
            each.check()
