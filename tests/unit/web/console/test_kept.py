"""What is kept for a moment: a store that hangs is asked once for all who wait."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from shared.clock import ManualClock
from shared.errors import StoreUnavailable
from web.console.kept import KEPT_MS, Kept


def test_an_answer_is_kept_for_a_moment() -> None:
    clock, answers = ManualClock(), iter(range(10))
    kept = Kept(lambda: next(answers), clock.now_ms)
    assert (kept.get(), kept.get()) == (0, 0)
    clock.advance(KEPT_MS / 1000)
    assert kept.get() == 1


def test_those_that_wait_for_a_store_that_is_away_are_told_so_with_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came = threading.Semaphore(0)

    class Lock:
        def __init__(self) -> None:
            self._lock = threading.RLock()

        def __enter__(self) -> None:
            came.release()
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    monkeypatch.setattr("web.console.kept.threading", SimpleNamespace(Lock=Lock))
    asked, entered, release = 0, threading.Event(), threading.Event()

    def hang() -> int:
        nonlocal asked
        asked += 1
        entered.set()
        release.wait(10)
        raise StoreUnavailable("gone")

    kept, failures = Kept(hang, ManualClock().now_ms), list[str]()

    def wait() -> None:
        try:
            kept.get()
        except StoreUnavailable as error:
            failures.append(str(error))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    assert all(came.acquire(timeout=10) for _ in threads)
    release.set()
    for thread in threads:
        thread.join(10)
    assert (failures, asked) == (["gone"] * 4, 1)
    with pytest.raises(StoreUnavailable):
        kept.get()
    assert asked == 2
