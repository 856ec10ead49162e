"""What web knows of the store's health: refreshed for as long as the process lives."""

from __future__ import annotations

from typing import Any

import pytest

from shared.store.figures import Health
from tests.support.system import poll
from web import admission
from web.admission import Admission


class Spool:
    """A store whose health the test sets."""

    def __init__(self) -> None:
        self.says: Health | Exception = Health(())

    def health(self) -> Health:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def test_a_fault_of_ours_does_not_freeze_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REFRESH_SECONDS", 0.01)
    spool: Any = Spool()
    found = Admission(spool)
    try:
        assert found.health().reasons == ()
        spool.says = RuntimeError("a bug")
        poll(lambda: found.health().reasons == ("health_unknown",), 5)
        spool.says = Health(())
        poll(lambda: found.health().reasons == (), 5)
    finally:
        found.stop()
