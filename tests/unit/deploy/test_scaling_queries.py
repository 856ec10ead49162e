"""The two queries of production/scaling.yaml, answered by Prometheus itself (promtool).

What the model computes is what Prometheus answers; and the cases that a formula does not show: two
exporters at once, none, nothing to do, next hops that stand still.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleet import Signal
from tests.support.kubernetes import DIRECTORY

OBJECT: dict[str, Any] = yaml.safe_load(
    (DIRECTORY / "production" / "scaling.yaml").read_text("utf-8")
)
QUERIES = {each["name"]: each["metadata"]["query"] for each in OBJECT["spec"]["triggers"]}
SIGNAL = Signal.of(OBJECT)
EMPTY = None
"""No answer at all, which KEDA takes for an error (ignoreNullValues is "false")."""


@dataclass(frozen=True)
class State:
    """What is so for five minutes: series by name and labels, their values, and the answers."""

    depth: float | None
    oldest: float | None
    flow: float | None = 400.0
    """Legs a second of two workers together; None: no worker is scraped."""
    ready: Mapping[str, float] = field(default_factory=dict)
    ages: Mapping[str, float] = field(default_factory=dict)
    destinations: Mapping[str, float] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    live: float = 2.0
    exporters: tuple[float, ...] = (1.0,)
    """Each with this share of the numbers (a younger one may have seen more)."""

    def series(self) -> dict[str, str]:
        """Input for promtool."""
        found = {}
        if self.flow is not None:
            for pod in ("w1", "w2"):
                name = f'posthaste_smtp_transactions_total{{namespace="posthaste",pod="{pod}"}}'
                found[name] = f"0+{self.flow / 2 * 15}x30"
        for at, share in enumerate(self.exporters):
            where = f'namespace="posthaste",pod="e{at}"'

            def put(name: str, labels: str, value: float, where: str = where) -> None:
                found[f"posthaste_{name}{{{where}{labels}}}"] = f"{value}+0x30"

            put("live_workers", "", self.live)
            for each in ("critical", "transactional", "bulk"):
                put("ready_legs", f',class="{each}"', share * self.ready.get(each, 0))
                put("oldest_ready_seconds", f',class="{each}"', share * self.ages.get(each, 0))
            for name, legs in self.destinations.items():
                labels = f',destination="{name}",class="transactional"'
                put("destination_ready_legs", labels, share * legs)
            for name in self.paused:
                put("destination_paused", f',destination="{name}",kind="suspended"', 1)
        return found


BUSY = {"critical": 100.0, "transactional": 11_900.0}
CASES = {
    "idle": State(depth=0, oldest=0, flow=0),
    "busy": State(SIGNAL.depth(400, 12_000), 0, ready=BUSY),
    "a backlog asks for no more than the flow shows": State(
        SIGNAL.depth(400, 9e6), 0, ready={"bulk": 9e6}
    ),
    "overdue, and workers are of use": State(
        SIGNAL.depth(400, 12_000), SIGNAL.oldest(400, 2, {"critical": 11}),
        ready=BUSY, ages={"critical": 11.0},
    ),
    "overdue, and the relay is what lacks": State(
        SIGNAL.depth(50, 12_000), SIGNAL.oldest(50, 2, {"transactional": 31}),
        flow=50, ready=BUSY, ages={"transactional": 31.0},
    ),
    "old, but not for its class": State(
        SIGNAL.depth(400, 12_000), SIGNAL.oldest(400, 2, {"bulk": 299}),
        ready=BUSY, ages={"bulk": 299.0, "transactional": 29.0, "critical": 9.0},
    ),
    "two exporters count once": State(
        SIGNAL.depth(400, 12_000), SIGNAL.oldest(400, 2, {"critical": 11}),
        ready=BUSY, ages={"critical": 11.0}, destinations={"relay": 12_000.0}, exporters=(0.9, 1.0),
    ),
    "no exporter": State(EMPTY, EMPTY, exporters=()),
    "no worker is scraped, and mail is overdue": State(
        EMPTY, 2 * SIGNAL.per_worker, flow=None, ready=BUSY, ages={"critical": 11.0}
    ),
    "mail of a hop that stands still is not counted": State(
        SIGNAL.depth(400, 2_000), 0,
        ready=BUSY, destinations={"a": 10_000.0, "b": 2_000.0}, paused=("a",),
    ),
    "of the rest nobody knows which stands still": State(
        SIGNAL.depth(400, 12_000), 0,
        ready=BUSY, destinations={"other": 12_000.0}, paused=("other",),
    ),
}  # fmt: skip


def _promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is not on PATH (Debian: prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _expect(query: str, answer: float | None) -> dict[str, Any]:
    samples = [] if answer is None else [{"labels": "{}", "value": round(answer, 2)}]
    return {"expr": f"round({query}, 0.01)", "eval_time": "5m", "exp_samples": samples}


@pytest.mark.parametrize("name", CASES)
def test_prometheus_answers_what_the_model_computes(name: str, tmp_path: Path) -> None:
    promtool, state = _promtool(), CASES[name]
    (tmp_path / "none.yml").write_text("groups: []\n", "utf-8")
    test = {
        "rule_files": ["none.yml"],
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": series, "values": values}
                    for series, values in state.series().items()
                ],
                "promql_expr_test": [
                    _expect(QUERIES["depth"], state.depth),
                    _expect(QUERIES["oldest"], state.oldest),
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), "utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_cases_differ_where_they_should() -> None:
    """So that no case passes because both ways give the same."""
    busy, grown, held = (SIGNAL.oldest(flow, 2, {"critical": 11}) for flow in (200, 400, 50))
    assert (busy, grown, held) == (600, 800, 600)
    assert SIGNAL.depth(400, 12_000) < SIGNAL.depth(400, 9e6) == 960
    assert SIGNAL.depth(400, 2_000) < SIGNAL.depth(400, 12_000)


def test_nothing_of_another_installation_is_counted() -> None:
    for query in QUERIES.values():
        assert query.count("posthaste_") == query.count('{namespace="posthaste"')


def test_an_empty_answer_is_an_error_and_both_answers_are_averages() -> None:
    for trigger in OBJECT["spec"]["triggers"]:
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert trigger["metricType"] == "AverageValue"
        assert trigger["metadata"]["threshold"].isdigit()  # KEDA's fallback wants whole numbers.
