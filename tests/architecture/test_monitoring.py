"""What every alert, runbook and panel must have, and that none stands alone."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from shared.metrics.spool import REASONS
from tests.support.rules import (
    DASHBOARDS,
    DEPLOY,
    RULE_TESTS,
    RUNBOOKS,
    alerts,
    dashboard,
    filled,
    metrics_in,
    panels,
    queries,
    read,
    recorded,
)
from tests.support.runbooks import blocks

ALERTS = alerts()
ANNOTATIONS = {"summary", "description", "runbook_url"}
DATASOURCE = {"type": "prometheus", "uid": "posthaste-prometheus"}
PAGES = [path for path in RUNBOOKS.glob("*.md") if path.stem != "README"]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["service"] == "posthaste"
    assert set(rule["annotations"]) == ANNOTATIONS
    assert all(rule["annotations"].values())
    assert rule["annotations"]["runbook_url"] == f"deploy/runbooks/{name}.md"
    assert (RUNBOOKS / f"{name}.md").is_file()


def test_every_runbook_has_an_alert() -> None:
    assert {path.stem for path in PAGES} == set(ALERTS)


def _tried() -> dict[str, set[bool]]:
    """For each alert whether a test of the rules sees it fire, and whether one sees it silent."""
    found: dict[str, set[bool]] = defaultdict(set)
    for path in RULE_TESTS:
        for group in read(path)["tests"]:
            for case in group["alert_rule_test"]:
                found[case["alertname"]].add(bool(case["exp_alerts"]))
    return found


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    assert _tried() == {name: {True, False} for name in ALERTS}


def test_inhibitions_name_alerts_that_exist() -> None:
    config = read(DEPLOY / "alertmanager" / "alertmanager.yml")
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, pattern = re.split(r"\s*=~?\s*", matcher)
            assert label == "alertname"
            for part in pattern.strip('"').split("|"):
                assert any(re.fullmatch(part, name) for name in ALERTS), f"no alert is {part}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_how_to_look_and_what_to_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:3] == ["Meaning", "Look", "Do"]
    assert headings[-1] == "Over when"
    assert len(blocks(path)) >= 1
    for link in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (RUNBOOKS / link).is_file(), f"{path.name} links to {link}"


def test_every_reason_to_refuse_mail_is_explained() -> None:
    text = (RUNBOOKS / "RefusingMail.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^ +- `([a-z_]+)`: ", text, re.MULTILINE)) == set(REASONS)


def test_each_recorded_series_is_used() -> None:
    expressions = [rule["expr"] for rule in ALERTS.values()]
    expressions += [*recorded().values(), *queries().values()]
    used = set().union(*(metrics_in(each) for each in expressions))
    assert set(recorded()) - used == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    found = dashboard(path)
    assert found["uid"] == f"posthaste-{path.stem}"
    assert found["title"].startswith("Posthaste: ")
    assert found["schemaVersion"] >= 41
    assert found["refresh"]
    assert found["tags"] == ["posthaste"]
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(path)]
    assert len(set(titles)) == len(titles)
    for variable in (*found["templating"]["list"], *found["annotations"]["list"]):
        assert variable["datasource"] == DATASOURCE
    names = {variable["name"] for variable in found["templating"]["list"]}
    used = {
        name
        for panel in panels(path)
        for target in panel["targets"]
        for name in re.findall(r"\$(?!__)(\w+)", target["expr"])
    }
    assert used == names, "a variable that is not used, or not there"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_lie_side_by_side(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], f"{panel['title']} lies on {other}"


def _panels() -> list[Any]:
    return [
        pytest.param(panel, id=f"{path.stem}: {panel['title']}")
        for path in DASHBOARDS
        for panel in panels(path)
    ]


@pytest.mark.parametrize("panel", _panels())
def test_a_panel_can_be_read_without_asking(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == DATASOURCE
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    for target in panel["targets"]:
        assert target["datasource"] == DATASOURCE
        assert metrics_in(filled(target["expr"], "1m"))


def test_the_datasource_is_the_one_that_dashboards_name() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = read(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE
    (provider,) = read(provisioning / "dashboards" / "posthaste.yml")["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
