"""Claimed legs on their way to a slot: groups, order, and nobody left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.errors import StoreUnavailable
from shared.model.leg import Leg, LegState
from shared.model.message import Address, Head, Recipient
from shared.model.status import Status
from shared.store.ports import Claimed
from shared.store.suppressions import Started, Starting
from workers.starts import GROUP, LEAST_AHEAD, Starts


class Held:
    def __init__(self) -> None:
        self.held = True

    def holds(self) -> bool:
        return self.held


class Store:
    """A queue that only starts legs."""

    def __init__(self) -> None:
        self.asked = 0
        self.slow = asyncio.Event()
        self.slow.set()
        self.groups: list[int] = []
        self.lost: set[bytes] = set()
        self.away = False

    async def start(self, legs: Sequence[Starting]) -> list[Started]:
        self.asked += 1
        await asyncio.sleep(0)
        await self.slow.wait()
        if self.away:
            raise StoreUnavailable("away")
        self.groups.append(len(legs))
        return [Started(may_go=leg.leg_id not in self.lost) for leg in legs]


def claimed(number: int, message_class: Any = "bulk", application: str = "app") -> Claimed:
    head = Head(
        "app", message_class, "<1@a.test>", Address("a@a.test"), "a@a.test",
        (Recipient("to", "b@b.test"),), "x", 0,
    )  # fmt: skip
    leg = Leg(LegState.LEASED, message_class, "relay", (Status.QUEUED,), application=application)
    return Claimed(number.to_bytes(18, "big"), 1, leg, head, None)


class Bench:
    """Starts, with what came of every leg."""

    def __init__(self, slots: int) -> None:
        self.store = Store()
        self.working: list[int] = []
        self.let_go: list[int] = []
        store: Any = self.store
        self.in_slots: list[Claimed] = []
        self.starts = Starts(
            store,
            slots,
            self.work,
            lambda leg: self.let_go.append(int.from_bytes(leg.leg_id, "big")),
        )

    def work(self, leg: Claimed, lease: object) -> None:
        self.working.append(int.from_bytes(leg.leg_id, "big"))
        self.in_slots.append(leg)

    def freed(self) -> None:
        """The leg that has been in a slot for longest leaves it."""
        self.starts.freed(self.in_slots.pop(0))

    def put(
        self, *numbers: int, message_class: str = "bulk", application: str = "app"
    ) -> list[Any]:
        leases: list[Any] = [Held() for _ in numbers]
        for number, lease in zip(numbers, leases, strict=True):
            self.starts.put(claimed(number, message_class, application), lease)
        return leases


def run(work: Any, slots: int = 4) -> Bench:
    async def inside() -> Bench:
        bench = Bench(slots)
        task = asyncio.create_task(bench.starts.run())
        await work(bench)
        task.cancel()
        return bench

    return asyncio.run(inside())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_legs_are_started_in_groups_and_worked_in_order() -> None:
    async def work(bench: Bench) -> None:
        bench.put(*range(300))
        await settle()
        assert bench.working == [0, 1, 2, 3]
        assert bench.store.groups == [4 + LEAST_AHEAD]
        for _ in range(296):
            bench.freed()
            await settle()
        assert bench.working == list(range(300))
        assert sum(bench.store.groups) == 300
        assert len(bench.store.groups) < 15
        assert max(bench.store.groups) <= GROUP

    run(work)


def test_applications_take_turns() -> None:
    async def work(bench: Bench) -> None:
        bench.put(*range(300), application="big")
        await settle()
        bench.put(1000, 1001, application="small")
        bench.put(2000, application="other")
        for _ in range(200):
            bench.freed()
            await settle()
        places = [bench.working.index(number) for number in (1000, 2000, 1001)]
        assert max(places) < 2 * LEAST_AHEAD  # Not behind what is in hand, only what is started.
        assert [each for each in bench.working if each < 300] == list(range(201))

    run(work)


def test_an_application_that_has_no_slot_waits_for_none_within_bounds() -> None:
    async def work(bench: Bench) -> None:
        bench.put(*range(300), application="big")
        await settle()
        bench.put(1000, 1001, application="small")
        bench.put(2000, application="other")
        bench.put(3000, application="third")
        for _ in range(3):  # Each is started by itself.
            await settle()
        assert bench.working == [0, 1, 2, 3, 1000, 2000], "one slot for every two is theirs"
        bench.put(4000, message_class="critical")
        await settle()
        assert bench.working[-1] == 4000, "none that is kept for critical"
        bench.freed()
        assert bench.working[-1] == 3000
        for _ in range(2):
            bench.freed()
            await settle()
        assert bench.working[-1] == 3000, "nothing of those that have one"

    run(work)


def test_critical_legs_pass_the_others_and_need_no_slot_of_theirs() -> None:
    async def work(bench: Bench) -> None:
        bench.put(*range(300))
        await settle()
        bench.put(1000, message_class="critical")
        await settle()
        assert bench.working == [0, 1, 2, 3, 1000]
        bench.put(1001, 1002, message_class="critical")
        await settle()
        assert bench.working == [0, 1, 2, 3, 1000], "one slot for every four is theirs"
        bench.freed()
        bench.freed()
        assert bench.working[-2:] == [1001, 1002]
        for _ in range(3):
            bench.freed()
        assert bench.working[-2:] == [4, 5]

    run(work)


def test_what_is_lost_is_let_go() -> None:
    async def work(bench: Bench) -> None:
        bench.store.lost = {(2).to_bytes(18, "big")}
        leases = bench.put(*range(8))
        await settle()
        assert bench.let_go == [2]
        leases[5].held = False
        for _ in range(3):
            bench.freed()
        assert bench.let_go == [2, 5]
        assert bench.working == [0, 1, 3, 4, 6, 7]

    run(work)


def test_a_store_that_is_away_and_a_stop_leave_nobody_behind() -> None:
    async def work(bench: Bench) -> None:
        bench.store.away = True
        bench.put(*range(60))
        await settle()
        assert bench.working == []
        bench.store.away = False
        bench.put(*range(60, 200))
        await settle()
        await bench.starts.stop()
        assert sorted(bench.working + bench.let_go) == list(range(200))

    run(work)


def test_what_is_being_started_at_a_stop_is_let_go() -> None:
    async def work(bench: Bench) -> None:
        bench.store.slow.clear()
        bench.put(*range(3))
        await settle()
        assert bench.store.asked == 1
        stopping = asyncio.create_task(bench.starts.stop())
        await settle()
        assert not stopping.done()
        bench.store.slow.set()
        await stopping
        assert sorted(bench.let_go) == [0, 1, 2]
        assert bench.working == []

    run(work)


def test_more_and_fewer_slots() -> None:
    async def work(bench: Bench) -> None:
        bench.put(*range(40))
        await settle()
        bench.starts.resize(10)
        assert len(bench.working) == 10
        bench.starts.resize(2)
        for _ in range(8):
            bench.freed()
        assert len(bench.working) == 10
        bench.freed()
        assert len(bench.working) == 11

    run(work)
