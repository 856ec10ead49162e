"""What the exporter tells of a store: the twin, with what it counts known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from shared.clock import ManualClock
from shared.errors import StoreUnavailable
from shared.exporter import registry
from shared.hops import DestinationLimit
from shared.metrics.feedback import TOP, Feedback
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.services import Services
from shared.shaping.file import shaping_from
from shared.store.attempts import attempt_counter
from shared.store.limits import Override
from shared.store.outcomes import WHATS, Outcomes, What, outcome_counter
from shared.store.returns import Returned
from tests.support.stores import MemoryTestStore, settings, settlement
from tests.support.system import samples_in


class Exporter:
    """The exporter on a twin."""

    def __init__(self) -> None:
        self.store = MemoryTestStore(settings(), ManualClock())
        memory = self.store.memory
        shipped = msgspec.structs.replace(settings(), shaping=shaping_from(None))
        self.services = Services(
            shipped,
            self.store.clock,
            memory.spool,
            memory.keys,
            memory.operations,
            memory.suppressions,
            memory.returns,
            memory.records,
            memory.recent,
            memory.samples,
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


def pause(exporter: Exporter, hop: str, note: str, *, slow: bool = False) -> None:
    """A hop stands still for a minute."""
    store = exporter.store
    store.accept(hops=(hop,))
    store.run(store.queue().trouble(hop, note, 60_000, 60_000, firm=slow, slow=slow))


def test_sites_in_trouble_are_counted_by_provider_and_kind(exporter: Exporter) -> None:
    google = "mx:aspmx.l.google.com~abcdefghij0123456789"
    for hop, note in (
        (google, "connect: timed out"),
        (f"{google}@partner", "connect: timed out"),  # The same site by another way.
        ("mx:mx.one.test", "tls: certificate not valid"),
        ("mx:mx.two.test", "banner: 421"),
        ("mx:mx.three.test", "connect: refused"),
        ("gw1", "connect: refused"),
    ):
        pause(exporter, hop, note)
    exporter.store.accept(hops=("mx:mx.four.test",))
    exporter.store.accept(hops=("mx:?",))
    exporter.store.operations.suspend("mx:mx.four.test", None, "connect: no trouble of its own")
    samples = exporter.samples()
    assert samples["posthaste_sites"] == 5
    found = {name: value for name, value in samples.items() if "sites_in_trouble" in name}
    assert found == {
        f'posthaste_sites_in_trouble{{provider="{provider}",reason="{reason}"}}': count
        for provider, reason, count in (
            ("google", "connect", 1), ("other", "connect", 1), ("other", "tls", 1),
            ("other", "other", 1), ("other", "asked_for_less", 0),
        )
    }  # fmt: skip


def test_who_asks_for_less_is_counted_once(exporter: Exporter) -> None:
    pause(exporter, "mx:mx.one.test", "asked for less: 421 4.7.0 (rule rate-limited)", slow=True)
    pause(exporter, "mx:mta5.am0.yahoodns.net", "asked for less: 421 4.7.0 (rule x)")
    pause(exporter, "gw1", "asked for less: 454 (rule relay-sending-rate)", slow=True)
    store, name = exporter.store, "posthaste_throttled_destinations"
    samples = exporter.samples()
    assert samples[f'{name}{{kind="site",provider="other"}}'] == 1
    assert samples[f'{name}{{kind="site",provider="yahoo"}}'] == 1
    assert samples[f'{name}{{kind="relay",provider=""}}'] == 1
    reason = 'posthaste_sites_in_trouble{provider="yahoo",reason="asked_for_less"}'
    assert samples[reason] == 1
    assert samples["posthaste_slowed_down_total"] == 2
    store.clock.advance(61)
    for probe in store.claim().legs:
        store.settle(settlement(probe, Status.DELIVERED, answered=True))
    samples = exporter.samples()  # Two go on, slowed down; the third has only stood still.
    assert samples[f'{name}{{kind="relay",provider=""}}'] == 1
    assert samples[f'{name}{{kind="site",provider="other"}}'] == 1
    assert f'{name}{{kind="site",provider="yahoo"}}' not in samples
    store.clock.advance(60)
    samples = exporter.samples()
    assert samples[f'{name}{{kind="relay",provider=""}}'] == 0


def test_what_is_used_of_the_limits_of_relays_and_routes_is_told(exporter: Exporter) -> None:
    store = exporter.store
    for key in ("gw1", "@partner", "mx:a.test", "mx:*"):
        store.run(store.queue().limit(key, DestinationLimit(per_minute=4, per_day=10)))
    store.operations.set_limit("mx:*", Override(concurrency=1))
    store.operations.set_limit("gw1", Override(per_hour=20))
    for hop in ("gw1", "gw1@partner", "mx:a.test"):
        store.accept(hops=(hop,))
    assert len(store.claim().legs) == 3
    samples = exporter.samples()
    found = {name: value for name, value in samples.items() if "limit_used_ratio" in name}
    assert found == {
        f'posthaste_limit_used_ratio{{destination="{key}",window="{window}"}}': share
        for key, window, share in (
            ("gw1", "minute", 0.5), ("gw1", "hour", 0.1), ("gw1", "day", 0.2),
            ("@partner", "minute", 0.25), ("@partner", "day", 0.1),
        )
    }  # fmt: skip
    assert samples["posthaste_overridden_limits"] == 2  # Not one for each site.


@pytest.mark.parametrize("part", ["operations.destinations", "returns.outcomes"])
def test_a_store_that_is_away_is_told_and_nothing_else(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailable("x")

    port, name = part.split(".")
    monkeypatch.setattr(getattr(exporter.services, port), name, away)
    samples = exporter.samples()
    assert samples["posthaste_store_up"] == 0
    assert samples["posthaste_accepting"] == 0
    assert samples['posthaste_refusing{reason="store_unreachable"}'] == 1
    told = ("posthaste_recipients", "posthaste_outcomes", "posthaste_suppressions")
    assert not [name for name in samples if name.startswith(told)]


def outcomes(samples: dict[str, float], name: str) -> dict[tuple[str, ...], float]:
    """Samples of one metric by the values of their labels, as they stand."""
    found = {}
    for sample, value in samples.items():
        metric, _, labels = sample.partition("{")
        if metric == name:
            found[tuple(part.split("=", 1)[1].strip('"}') for part in labels.split(","))] = value
    return found


def deliver(exporter: Exporter, application: str, what: What, site: str = "google") -> None:
    """One recipient's outcome, as a worker counts it."""
    store = exporter.store
    store.accept(application=application)
    (leg,) = store.claim().legs
    counted = (outcome_counter(application, site, what),)
    store.settle(settlement(leg, Status.DELIVERED, counted=counted))


def test_outcomes_are_told_by_application_class_and_site(exporter: Exporter) -> None:
    exporter.store.pump()
    for _ in range(3):
        deliver(exporter, "a|b", "delivered")
    deliver(exporter, "shop", "bounced", "other")
    samples = exporter.samples()
    name = "posthaste_outcomes_total"  # Labels stand in the order of the alphabet.
    told = outcomes(samples, name)
    of_ab = {key: value for key, value in told.items() if key[0] == "a|b"}
    assert of_ab == {
        ("a|b", "transactional", what, "google"): 3 if what == "delivered" else 0 for what in WHATS
    }
    assert told["shop", "transactional", "bounced", "other"] == 1
    assert len(told) == 2 * len(WHATS)  # Each is there with 0 before it is needed.
    recent = {("a|b", "transactional", days, "delivered", "google"): 3 for days in ("2", "7")} | {
        ("shop", "transactional", days, "bounced", "other"): 1 for days in ("2", "7")
    }
    assert outcomes(samples, "posthaste_recent_outcomes") == recent


def test_few_applications_are_told_apart_and_keep_their_names() -> None:
    found: Outcomes = {
        (f"app{number:03}", "bulk", "google", "delivered"): 10 + number for number in range(TOP + 5)
    }
    found["", "bulk", "other", "delivered"] = 1000

    class Fixed:
        def outcomes(self, days: int) -> Outcomes:
            return found if days != 7 else {}

        def kept_count(self) -> int:
            return 3

    given: Any = Fixed()
    memory = MemoryTestStore(settings(), ManualClock()).memory
    feedback = Feedback(given, memory.suppressions, 0)
    registry_of = CollectorRegistry(auto_describe=False)

    class Told(Collector):
        def collect(self) -> Iterator[Metric]:
            return feedback.metrics(feedback.read())

    registry_of.register(Told())

    def named() -> set[str]:
        samples = samples_in(generate_latest(registry_of).decode())
        total = sum(outcomes(samples, "posthaste_outcomes_total").values())
        assert total == sum(found.values())
        return {key[0] for key in outcomes(samples, "posthaste_outcomes_total")}

    first = named()
    assert len(first) == TOP + 1
    assert first >= {"other", "app005", f"app{TOP + 4:03}"}
    assert not first & {"", "app004"}
    found["app000", "bulk", "google", "delivered"] = 10_000  # It comes too late for a name.
    assert named() == first


def test_figures_over_days_are_asked_for_now_and_then() -> None:
    asked: list[int] = []
    now = [0.0]

    class Counting:
        def outcomes(self, days: int) -> Outcomes:
            asked.append(days)
            return {}

        def kept_count(self) -> int:
            return 0

    given: Any = Counting()
    memory = MemoryTestStore(settings(), ManualClock()).memory
    feedback = Feedback(given, memory.suppressions, 2, lambda: now[0])
    for at in (0.0, 14.0, 16.0):
        now[0] = at
        feedback.read()
    assert asked == [2, 7, 0, 0, 2, 7, 0]


def test_the_list_and_what_is_kept_are_counted(exporter: Exporter) -> None:
    store = exporter.store
    store.suppressions.add([Suppression("a@b.test", at_ms=1), Suppression("c@b.test", at_ms=1)])
    store.returns.keep(Returned("one", 1, "no_token", "", "", "", 1), 10)
    samples = exporter.samples()
    assert samples["posthaste_suppressions"] == 2
    assert samples["posthaste_kept_returns"] == 1
    assert samples["posthaste_return_path_domains"] == 0
