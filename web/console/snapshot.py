"""Everything that the overview shows, as of one moment. May raise the `StoreError` family."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.destination_report import outlines
from shared.store.figures import Depth, Health
from shared.store.operations import Destination, Operations, Outline
from web.console.attention import Need, needs
from web.console.charts import MINUTES, Charts, charts
from web.console.desk import Desk

DEEPEST = 8
"""Destinations that are shown."""


class Snapshot(msgspec.Struct, frozen=True):
    """As it was a moment ago."""

    at_ms: int
    needs: tuple[Need, ...]
    health: Health
    depth: Depth
    charts: Charts
    deepest: tuple[Destination, ...]
    destinations: int
    """How many have mail, are busy or stand still."""


def take(desk: Desk) -> Snapshot:
    """One of now."""
    now_ms, context = desk.now_ms(), desk.context
    services = context.services
    health, depth = context.admission.health(), services.spool.depth()
    vitals = services.operations.vitals()
    rows = outlines(services.operations, context.routes)
    ratio = desk.settings.store.memory_ratio
    return Snapshot(
        now_ms,
        tuple(needs(health, depth, vitals, rows, ratio)),
        health,
        depth,
        charts(services.samples.samples(MINUTES + 2), now_ms),
        _deepest(services.operations, rows),
        len(rows),
    )


def _deepest(operations: Operations, rows: Sequence[Outline]) -> tuple[Destination, ...]:
    """Those with most mail, in full; of each class by itself."""
    places = [(each.hop, each.message_class) for each in rows if each.depth][:DEEPEST]
    hops = {hop for hop, _ in places}
    found = operations.destinations(hops) if hops else []
    return tuple(each for each in found if (each.hop, each.message_class) in places)
