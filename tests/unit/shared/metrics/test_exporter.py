"""What the exporter tells of a store: the twin, with what it counts known."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest

from shared.clock import ManualClock
from shared.errors import StoreUnavailable
from shared.exporter import registry
from shared.model.status import Status
from shared.services import Services
from shared.store.attempts import attempt_counter
from tests.support.stores import MemoryTestStore, settings, settlement
from tests.support.system import samples_in


class Exporter:
    """The exporter on a twin."""

    def __init__(self) -> None:
        self.store = MemoryTestStore(settings(), ManualClock())
        memory = self.store.memory
        self.services = Services(
            settings(), self.store.clock, memory.spool, memory.keys, memory.operations
        )

    def samples(self) -> dict[str, float]:
        """A scrape."""
        return samples_in(generate_latest(registry(self.services)).decode())


@pytest.fixture
def exporter() -> Exporter:
    """A fresh one."""
    return Exporter()


def test_states_and_attempts_are_told_as_they_were_committed(exporter: Exporter) -> None:
    store = exporter.store
    store.pump()
    for _ in range(3):
        store.accept(recipients=2)
    delivered, bounced, _ = store.claim().legs
    counter = attempt_counter("transactional", "d", "none")
    store.settle(settlement(delivered, Status.DELIVERED, counted=(counter, counter)))
    counter = attempt_counter("transactional", "b", "mailbox")
    store.settle(settlement(bounced, Status.BOUNCED, counted=(counter, counter)))
    samples = exporter.samples()
    assert samples['posthaste_recipients_accepted_total{class="transactional"}'] == 6
    for status, count in (("delivered", 2), ("bounced", 2), ("queued", 2), ("dead", 0)):
        name = f'posthaste_recipients{{class="transactional",status="{status}"}}'
        assert samples[name] == count, status
    assert samples['posthaste_reconciliation{class="transactional"}'] == 0
    for outcome, category in (("delivered", "none"), ("bounced", "mailbox")):
        labels = f'{{category="{category}",class="transactional",outcome="{outcome}"}}'
        assert samples[f"posthaste_attempts_total{labels}"] == 2
    assert samples['posthaste_leased_legs{class="transactional"}'] == 1
    assert samples['posthaste_oldest_ready_seconds{class="transactional"}'] == 0
    assert samples["posthaste_accepting"] == 1
    assert samples['posthaste_refusing{reason="store_disk"}'] == 0


def test_few_destinations_are_told_apart(exporter: Exporter) -> None:
    store = exporter.store
    for number in range(30):
        for _ in range(2 if number == 29 else 1):
            store.accept(hops=(f"hop{number:02}",))
    store.operations.suspend("hop29", None, "")
    store.operations.suspend("hop28", None, "")
    store.clock.advance(7)
    samples = exporter.samples()
    ready = {name: value for name, value in samples.items() if "destination_ready_legs" in name}
    assert len(ready) == 21
    deepest = '{class="transactional",destination="hop29"}'
    assert samples[f"posthaste_destination_ready_legs{deepest}"] == 2
    other = '{class="transactional",destination="other"}'
    assert samples[f"posthaste_destination_ready_legs{other}"] == 10
    assert samples[f"posthaste_destination_oldest_seconds{other}"] == 7
    assert samples['posthaste_destination_paused{destination="hop29",kind="suspended"}'] == 1
    assert samples['posthaste_destination_paused{destination="other",kind="suspended"}'] == 1


def test_a_store_that_is_away_is_told_and_nothing_else(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailable("x")

    monkeypatch.setattr(exporter.services.operations, "destinations", away)
    samples = exporter.samples()
    assert samples["posthaste_store_up"] == 0
    assert samples["posthaste_accepting"] == 0
    assert samples['posthaste_refusing{reason="store_unreachable"}'] == 1
    assert not [name for name in samples if name.startswith("posthaste_recipients")]
