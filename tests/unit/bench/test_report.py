"""What a run prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import machine, report, run
from tests.bench.figure import Figure, Peer

PEERS = (Peer("Postfix", (600.0, 610.0), 605), Peer("Postfix signing", (300.0,), 343))
BATCH = Figure("batch", (2400.0, 3000.0, 2600.0), "/s", must=2500, aim=3500, peers=PEERS)
IDLE = Figure("idle", (2.5,), "% core", "lower", must=2)
PLAIN = Figure("render", (11.25,), "us", "lower")


def test_the_json_is_a_list_of_flat_records(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    report.write([BATCH, PLAIN], path)
    assert json.loads(path.read_text()) == [
        {
            "figure": "batch", "value": 2600.0, "unit": "/s", "better": "higher", "must": 2500,
            "peer": "Postfix", "peer_value": 605.0, "ratio": 4.298,
        },
        {
            "figure": "batch, against Postfix signing", "value": 2600.0, "unit": "/s",
            "better": "higher", "must": 2500, "peer": "Postfix signing", "peer_value": 300.0,
            "ratio": 8.667,
        },
        {
            "figure": "render", "value": 11.25, "unit": "us", "better": "lower", "must": None,
            "peer": None, "peer_value": None, "ratio": None,
        },
    ]  # fmt: skip


def test_a_line_has_median_spread_bars_and_verdict_and_each_peer_its_own() -> None:
    lines = [" ".join(line.split()) for line in report.lines(BATCH)]
    assert lines == [
        "batch 2,600 /s (2,400 to 3,000) must 2,500, aim 3,500: met",
        "Postfix 605 /s (600 to 610) ratio 4.30",
        "Postfix signing 300 /s (300 to 300) ratio 8.67",
    ]
    assert " ".join(report.lines(PLAIN)[0].split()) == "render 11.25 us (11.25 to 11.25)"


def test_the_summary_counts_bars_and_names_those_missed() -> None:
    assert report.summary([BATCH, IDLE, PLAIN]) == "1 of 2 bars met\n  idle: missed by 25.0%"


def test_a_figure_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["batch", "nonsense"]) == 2
    assert "no such figure: nonsense; known: batch, single, drain" in capsys.readouterr().err


def test_without_smtp_sink_what_needs_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "BINARY", None)
    assert run.main(["--quick"]) == 2
    assert "smtp-sink is missing" in capsys.readouterr().err


def test_the_bars_come_first_in_the_tables_order_and_quick_is_the_first_four() -> None:
    bars = ["batch", "single", "drain", "latency", "deferred", "entry", "sessions", "idle"]
    assert list(run.FIGURES)[:8] == bars
    assert list(run.QUICK_FIGURES) == bars[:4]


def test_one_that_breaks_does_not_take_the_others_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(effort: object) -> list[Figure]:
        raise RuntimeError("no room")

    figures = {"broken": broken, "idle": lambda effort: [IDLE]}
    monkeypatch.setattr(run, "FIGURES", figures)
    monkeypatch.setattr(machine, "head", list)
    monkeypatch.setattr(report, "JSON", tmp_path / "bench.json")
    assert run.main(["broken", "idle"]) == 1
    assert run.main(["idle"]) == 0
    assert "broken: not measured" in capsys.readouterr().out
