"""What `deploy/` says to Prometheus and Grafana: alerts, panels, and the metrics they use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RUNBOOKS = DEPLOY / "runbooks"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NOT_METRICS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]|\b(?:by|on|without|ignoring)\s*\([^()]*\)")
_NAME = re.compile(r"(?<![\w:$])([a-zA-Z_][\w:]*)(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "by", "on", "without", "ignoring", "offset", "bool"}


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in RULES:
        for group in read(path)["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    found = [rule for rule in rules() if "alert" in rule]
    names = [rule["alert"] for rule in found]
    assert len(set(names)) == len(names), "two alerts have one name"
    return dict(zip(names, found, strict=True))


def recorded() -> dict[str, str]:
    """The recording rules: name -> expression."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def dashboard(path: Path) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something: all but rows."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query of every panel, by where it stands."""
    return {
        f"{path.stem}: {panel['title']} {target['refId']}": target["expr"]
        for path in DASHBOARDS
        for panel in panels(path)
        for target in panel["targets"]
    }


def filled(expression: str, interval: str) -> str:
    """A panel's query with everything chosen, and Grafana's interval."""
    text = expression.replace("$__rate_interval", interval)
    text = re.sub(r"\$(class|destination|application|site)\b", ".*", text)
    assert "$" not in text, f"a variable that nobody fills: {text}"
    return text


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics, and of recorded series, in an expression."""
    text = _STRING.sub('""', expression)
    while (shorter := _NOT_METRICS.sub(" ", text)) != text:
        text = shorter
    return {name for name in _NAME.findall(text) if name not in _WORDS}
