"""Questions to DNS are counted by what it said, and timed."""

from __future__ import annotations

import asyncio

import pytest

from shared.metrics.worker import WorkerMetrics
from workers.dns.answers import Answer, Found, Kind, NoData, NoSuchName, Temporary, Told
from workers.dns.measured import Measured


class One:
    """An upstream with one answer."""

    def __init__(self, answer: Answer) -> None:
        self.told = Told(answer, 60)

    async def ask(self, name: str, kind: Kind) -> Told:
        return self.told


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Found(("192.0.2.1",), "a.test"), "found"),
        (NoData("a.test"), "none"),
        (NoSuchName(), "no_such_name"),
        (Temporary("the DNS servers could not answer", answered=True), "failed"),
        (Temporary("no DNS server has answered in time"), "unanswered"),
    ],
)
def test_an_answer_is_counted_by_its_kind(answer: Answer, outcome: str) -> None:
    metrics, one = WorkerMetrics(), One(answer)
    told = asyncio.run(Measured(one, metrics).ask("a.test", "MX"))
    assert told is one.told
    assert {name for name, count in metrics.lookups.items() if count} == {outcome}
    buckets, _ = metrics.dns.cumulative()
    assert buckets[-1][1] == 1
