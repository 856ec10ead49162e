"""Figures by minute: one sample a minute whoever pumps, bounded, and as the store has counted."""

from __future__ import annotations

from shared.model.message import CLASSES
from shared.model.status import Status
from shared.store.attempts import attempt_counter
from shared.store.samples import MOST_SAMPLES, Figures, minutes
from tests.support.stores import RedisTestStore, Store, settlement


def test_the_first_pump_of_a_minute_takes_a_sample(store: Store) -> None:
    store.pump("w1")
    store.pump("w2")
    assert len(store.samples.samples()) == 1
    store.clock.advance(60)
    store.pump("w2")
    store.pump("w1")
    first, second = store.samples.samples()
    assert second.at_ms - first.at_ms == 60_000
    assert second.at_ms == store.clock.now_ms()
    assert store.samples.samples(1) == [second]
    assert store.samples.samples(0) == []


def test_a_clock_that_was_put_back_stops_nothing(store: Store) -> None:
    store.pump()
    store.clock.advance(-3600)
    store.pump()
    assert len(store.samples.samples()) == 2


def test_a_sample_has_what_was_counted(store: Store) -> None:
    counted = (attempt_counter("transactional", "f", "busy"),)
    for _ in range(6):
        store.accept()
    store.accept(send_in_ms=9_000_000, message_class="bulk")
    store.accept(message_class="critical")
    ends = (Status.DELIVERED, Status.BOUNCED, Status.DEFERRED, Status.UNCERTAIN, Status.DEAD)
    claimed = store.claim(limit=6).legs
    for leg, status in zip(claimed, ends, strict=False):
        given = counted if status is Status.DEFERRED else ()
        store.settle(settlement(leg, status, counted=given, retry_ms=9_000_000))
    store.clock.advance(2)
    store.pump()
    (sample,) = store.samples.samples()
    assert sample.of("transactional") == Figures(
        accepted=6,
        delivered=1,
        bounced=1,
        deferrals=1,
        uncertain=1,
        dead=1,
        deferred=1,
        in_flight=1,
    )
    assert sample.of("bulk") == Figures(accepted=1, deferred=1)
    assert sample.of("critical") == Figures(accepted=1, ready=1, oldest_ready_ms=2000)
    assert sample.total() == Figures(8, 1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 1, 2000)
    assert len(sample.classes) == len(CLASSES)


def test_what_ends_otherwise_is_counted(store: Store) -> None:
    store.accept(deliver_by_in_ms=1000)
    store.spool.cancel(store.accept())
    store.clock.advance(2)
    store.pump()
    figures = store.samples.samples()[0].total()
    assert (figures.expired, figures.cancelled, figures.ready) == (1, 1, 0)


def test_the_last_day_is_kept(store: Store) -> None:
    for _ in range(MOST_SAMPLES + 5):
        store.clock.advance(60)
        store.pump()
    found = store.samples.samples(MOST_SAMPLES + 5)
    assert len(found) == MOST_SAMPLES
    assert found[-1].at_ms == store.clock.now_ms()
    assert len(minutes(found)) == MOST_SAMPLES - 1


def test_a_sample_that_cannot_be_read_is_passed_over(store: Store) -> None:
    store.pump()
    if isinstance(store, RedisTestStore):
        for packed in (b"", b"\x01\xc1", b"\x02\x90", b"\x01\x92\x01\x93\x90\x90\xa1x"):
            store.client.rpush("ph:samples", packed)
    assert len(store.samples.samples()) == 1
