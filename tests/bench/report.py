"""What a run prints and keeps: a line for each figure, and build/bench.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.bench.figure import Figure, Peer

JSON = Path(__file__).parents[2] / "build" / "bench.json"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}".rstrip("0").rstrip(".")


def _measured(name: str, values: tuple[float, ...], value: float, unit: str) -> str:
    spread = f"({_number(min(values))} to {_number(max(values))})"
    return f"{name:<60} {_number(value):>8} {unit:<8} {spread:<20}"


def _bar(figure: Figure) -> str:
    if figure.must is None:
        return ""
    aim = "" if figure.aim is None else f", aim {_number(figure.aim)}"
    return f"must {_number(figure.must)}{aim}: {figure.verdict()}"


def _beside(figure: Figure, peer: Peer) -> str:
    line = _measured(f"    {peer.name}", peer.values, peer.value, figure.unit)
    return f"{line} ratio {figure.ratio(peer):.2f}"


def lines(figure: Figure) -> list[str]:
    """A figure as text, and a line for each peer."""
    first = _measured(figure.name, figure.values, figure.value, figure.unit)
    found = [f"{first} {_bar(figure)}".rstrip()]
    return found + [_beside(figure, peer) for peer in figure.peers]


def show(figures: Iterable[Figure]) -> None:
    """Print figures."""
    for figure in figures:
        print("\n".join(lines(figure)), flush=True)


def write(figures: Iterable[Figure], path: Path | None = None) -> None:
    """Write bench.json: a list of figures."""
    path = path or JSON
    records = [record for figure in figures for record in figure.records()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1) + "\n")


def summary(figures: Iterable[Figure]) -> str:
    """How many bars were met, and which were not."""
    judged = [figure for figure in figures if figure.must is not None]
    missed = [figure for figure in judged if figure.verdict().startswith("missed")]
    text = f"{len(judged) - len(missed)} of {len(judged)} bars met"
    return text + "".join(f"\n  {each.name}: {each.verdict()}" for each in missed)
