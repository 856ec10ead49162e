"""Whether mail may be accepted now: spool health, asked once a second, answered at once.

A thread in each web process refreshes a snapshot, so that no request waits for the question. What
it finds wrong is a 503 with Retry-After; the reasons are for /readyz and the log, not for clients.
"""

from __future__ import annotations

import threading

import structlog

from shared.errors import StoreError
from shared.store.figures import Health
from shared.store.ports import Spool
from web.errors import RETRY_AFTER_SECONDS, Problem

REFRESH_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Admission:
    """The last known health of the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._health = Health(("starting",))

    def health(self) -> Health:
        """The snapshot; asks first when nobody has yet in this process."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self.refresh()
                    self._thread = threading.Thread(target=self._run, name="admission", daemon=True)
                    self._thread.start()
        return self._health

    def check(self) -> None:
        """Raise a `Problem` 503 when nothing may be accepted."""
        if self.health().reasons:
            raise Problem(
                503,
                "unavailable",
                "Nothing was done. Try again later.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )

    def refresh(self) -> None:
        """Ask the spool."""
        before = self._health.reasons
        try:
            self._health = self._spool.health()
        except StoreError:
            self._health = Health(("store_unreachable",))
        if self._health.reasons != before and self._health.reasons:
            _log.warning("refusing_mail", reasons=self._health.reasons)
        elif before and not self._health.reasons:
            _log.info("accepting_mail")

    def _run(self) -> None:
        while not self._stopping.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except Exception:  # A fault of ours must not freeze what was known before.
                self._health = Health(("health_unknown",))
                _log.exception("health_check_broke")

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
