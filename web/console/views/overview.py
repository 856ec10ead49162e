"""The first page: what needs a person, and how mail flows.

The page is whole without a script. With one it is asked again every few seconds, while somebody can
see it, and answers 304 when nothing is new.
"""

from __future__ import annotations

import hashlib
import json

from flask import Response, render_template, request

from shared.store.samples import MINUTE_MS
from web.console.charts import DEPTHS, OUTCOMES, RATES
from web.console.desk import Desk, Visitor
from web.console.kept import Kept
from web.console.pages import Pages
from web.console.snapshot import Snapshot, take

WORDS = {
    "accepted": "Accepted", "delivered": "Delivered", "deferrals": "Deferred", "bounced": "Bounced",
    "expired": "Expired", "suppressed": "Suppressed", "cancelled": "Cancelled", "ready": "Ready",
    "deferred": "Deferred", "in_flight": "In flight",
}  # fmt: skip


def register(pages: Pages, desk: Desk) -> None:
    """`/console/`."""
    views = _Views(Kept(lambda: take(desk), desk.now_ms))
    pages.get("/", views.overview, "look")
    pages.get("/overview/live", views.live, "look")


class _Views:
    def __init__(self, snapshots: Kept[Snapshot]) -> None:
        self._snapshots = snapshots

    def overview(self, visitor: Visitor) -> str:
        """GET /console/."""
        del visitor
        return render_template("console/overview.html", **_shown(self._snapshots.get()))

    def live(self, visitor: Visitor) -> Response:
        """GET /console/overview/live: what changes of it, or a 304.

        `drawn` says which charts the page has: they are new once a minute, and most of it.
        """
        del visitor
        shown = _shown(self._snapshots.get())
        shown["drawn"] = request.args.get("drawn") == shown["digest"]
        body = render_template("console/overview_live.html", **shown)
        response = Response(body)
        response.set_etag(_digest(body))
        response.make_conditional(request)
        return response


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _shown(snapshot: Snapshot) -> dict[str, object]:
    charts = snapshot.charts
    last = next((row for row in reversed(charts.rates) if None not in row.numbers), None)
    points = json.dumps(charts.points(), separators=(",", ":"))
    fresh = last is not None and last.at_ms >= charts.until_ms - 2 * MINUTE_MS
    return {
        "snapshot": snapshot,
        "charts": charts,
        "points": points,
        "digest": _digest(points),
        "drawn": False,
        "last": dict(zip(RATES, last.numbers, strict=True)) if last and fresh else None,
        "sums": charts.sums(),
        "words": WORDS,
        "rates": RATES,
        "outcomes": OUTCOMES,
        "depths": DEPTHS,
    }
