"""What is done beside the answer, so that its time does not tell whether there was something to do.

So whoever asks for a new password waits as long for a login that nobody has (B28). What a process
that is killed had still to do is not done: whoever waits for a letter asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from flask import current_app, g

from shared.errors import StoreError

MOST_WAITING = 200
"""Of one process; what comes when so many wait is not done."""

_log = structlog.get_logger(__name__)


class Afterwards:
    """One thread, which begins with the first that is to be done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="afterwards")
        self._waiting: set[Future[None]] = set()

    def do(self, act: Callable[[], object]) -> None:
        """Do it in the context of this application and with the id of this request."""
        if len(self._waiting) >= MOST_WAITING:
            _log.warning("afterwards_full")
            return
        app, request_id = current_app._get_current_object(), g.get("request_id", "")  # type: ignore[attr-defined]

        def run() -> None:
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(request_id=request_id)
            with app.app_context():
                g.request_id = request_id
                try:
                    act()
                except StoreError as error:
                    _log.warning("store_refused", reason=error)
                except Exception as error:
                    _log.error("unexpected_error", exc_info=error)

        future = self._thread.submit(run)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

    def wait(self, seconds: float = 10) -> None:
        """Until all that was to be done until now is. Raises `TimeoutError`."""
        for future in tuple(self._waiting):
            future.result(seconds)

    def stop(self) -> None:
        """Finish what waits, and end the thread."""
        self._thread.shutdown()
