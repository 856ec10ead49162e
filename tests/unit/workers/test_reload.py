"""A worker that is told to read its settings again, and again while it does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest
import structlog

from shared.errors import ConfigError, StoreUnavailable
from shared.hops import DestinationLimit
from shared.outgoing import Outgoing, outgoing_from
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings
from shared.shaping.settings import ShapingSettings
from tests.support.smtp_client import until
from workers import main
from workers.main import Worker


def settings(name: str) -> Settings:
    return Settings(relay=(RelaySettings(host="127.0.0.1", name=name),))


def outgoing(name: str) -> Outgoing:
    return outgoing_from(settings(name))


class Reloaded:
    """A worker whose settings are what the test says; it has no store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading = 0
        self.told: list[str | Exception] = []
        self.go_on = threading.Event()
        monkeypatch.setattr(main, "load", self._load)
        self.worker = Worker(Settings(), outgoing("first"))
        self.store_answers = True
        monkeypatch.setattr(self.worker, "limit", self._limit)

    def _load(self) -> Settings:
        told = self.told.pop(0)  # The files as they were when they were read.
        self.reading += 1
        assert self.go_on.wait(10)
        if isinstance(told, Exception):
            raise told
        return settings(told)

    async def _limit(self) -> None:
        if not self.store_answers:
            raise StoreUnavailable("away")

    def uses(self, name: str) -> bool:
        return self.worker.hops.find(name) is not None

    def idle(self) -> bool:
        reloading = self.worker._reloading
        return reloading is not None and reloading.done()


def test_a_change_while_it_reads_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reloaded = Reloaded(monkeypatch)
        reloaded.told = ["second", "third"]
        reloaded.worker.reload()
        await until(lambda: reloaded.reading == 1)
        reloaded.worker.reload()  # The file has changed after it was read.
        reloaded.worker.reload()
        reloaded.go_on.set()
        await until(reloaded.idle)
        assert reloaded.uses("third")
        assert reloaded.reading == 2, "and not once for each signal"

    asyncio.run(work())


def test_a_wrong_file_does_not_swallow_the_next_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reloaded = Reloaded(monkeypatch)
        reloaded.told = [ConfigError("wrong"), "second"]
        reloaded.worker.reload()
        await until(lambda: reloaded.reading == 1)
        reloaded.worker.reload()
        reloaded.go_on.set()
        await until(reloaded.idle)
        assert reloaded.uses("second")

    asyncio.run(work())


def test_a_store_that_is_away_does_not_hold_up_the_next_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        reloaded = Reloaded(monkeypatch)
        reloaded.go_on.set()
        reloaded.store_answers = False
        reloaded.told = ["second", "third"]
        reloaded.worker.reload()
        await until(lambda: reloaded.uses("second"))
        reloaded.worker.reload()
        await until(lambda: reloaded.uses("third"))
        assert not reloaded.idle()
        reloaded.store_answers = True
        await until(reloaded.idle)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        ({"host": "127.0.0.1", "insecure_auth": True}, True),
        ({"host": "relay.test", "tls": "none", "insecure_auth": True}, True),
        ({"host": "relay.test", "insecure_auth": True}, False),
        ({"host": "relay.test", "tls": "implicit", "insecure_auth": True}, False),
        ({"host": "relay.test"}, False),
    ],
)
def test_b17_only_signing_in_without_verified_tls_is_warned_of(
    fields: dict[str, object], warned: bool
) -> None:
    entry = RelaySettings(user="u", password="p", **fields)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        main._warn(outgoing_from(Settings(relay=(entry,))))
    events = [each["event"] for each in logs]
    assert events == (["relay_signs_in_without_verified_tls"] if warned else [])


@pytest.mark.parametrize(
    ("route", "planned"), [({}, 10), ({"sites": ("*.a.test",)}, 210), ({"direct": True}, 210)]
)
def test_legs_that_ask_dns_have_a_place_beside_the_relays(
    route: dict[str, Any], planned: int
) -> None:
    relay = RelaySettings(host="127.0.0.1", name="main")
    entry = {"name": "r", "relay": "" if "direct" in route else "main", **route}
    settings = Settings(relay=(relay,), route=(msgspec.convert(entry, RouteSettings),))
    assert main._sessions(settings, outgoing_from(settings)) == planned


def test_a_worker_that_stops_waits_for_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        worker = Worker(Settings(), outgoing("first"))
        closed: list[bool] = []

        async def stop() -> None:
            closed.append(worker.permits.closing)

        monkeypatch.setattr(worker.engine, "stop", stop)
        await worker.stop()
        assert closed == [True], "before the engine waits for what is in hand"

    asyncio.run(work())


def shaped(per_minute: int, *, direct: bool = True) -> Outgoing:
    route = RouteSettings(name="straight", direct=True)
    values = {
        "default": {"connections": 2},
        "site": {"big": {"mx": ["*.big.test"], "per_minute": per_minute}},
    }
    settings = Settings(
        relay=(RelaySettings(host="127.0.0.1", name="main"),),
        route=(route,) if direct else (),
        shaping=msgspec.convert(values, ShapingSettings),
    )
    return outgoing_from(settings)


def test_a_reload_tells_the_store_what_it_changes_of_sites_that_have_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their mail may wait for a permit that comes tomorrow, so that no leg would tell it."""

    async def work() -> None:
        worker = Worker(Settings(), shaped(1))
        told: dict[str, DestinationLimit | None] = {}

        async def limits(found: dict[str, DestinationLimit | None]) -> None:
            told.update(found)

        async def nothing(found: object) -> None:
            pass

        monkeypatch.setattr(worker.queue, "limits", limits)
        monkeypatch.setattr(worker.queue, "weights", nothing)
        monkeypatch.setattr(worker.queue, "pools", nothing)
        worker.hops.shapes.see("big", ("mx.big.test",))
        worker.hops.shapes.limits(["mx:big"])
        await worker.limit()
        every = DestinationLimit(connections=2, concurrency=4)
        assert told == {"mx:*": every, "main": None, "@straight": None}
        told.clear()
        worker._outgoing = shaped(9)
        worker._apply(worker._outgoing)
        await worker.limit()
        assert told.pop("mx:big") == msgspec.structs.replace(every, per_minute=9)
        assert told == {"mx:*": every, "main": None, "@straight": None}
        told.clear()
        await worker.limit()
        assert "mx:big" not in told

    asyncio.run(work())


def test_without_direct_delivery_the_store_knows_no_limit_of_sites() -> None:
    assert shaped(1, direct=False).limits() == {"mx:*": None, "main": None}
