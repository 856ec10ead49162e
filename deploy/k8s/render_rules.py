"""Make production/rules.yaml, a PrometheusRule, of the rule files in deploy/prometheus/rules.

`make render-rules` runs it; with `--check` nothing is written, and the exit code is 1 when the file
is not what the rule files say. Needs PyYAML, which the development environment has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "prometheus" / "rules"
TARGET = HERE / "production" / "rules.yaml"
HEAD = """\
# Made of deploy/prometheus/rules by `make render-rules`: change those files, not this one.
"""


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay readable, and lists stand below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )


_Dumper.add_representer(str, _text)


def groups(directory: Path) -> list[dict[str, Any]]:
    """The groups of all rule files, in the order of the files' names."""
    found: list[dict[str, Any]] = []
    for path in sorted([*directory.glob("*.yml"), *directory.glob("*.yaml")]):
        found += yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return found


def render(directory: Path = RULES) -> str:
    """The PrometheusRule."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "posthaste", "labels": {"app.kubernetes.io/part-of": "posthaste"}},
        "spec": {"groups": groups(directory)},
    }
    return HEAD + yaml.dump(rule, Dumper=_Dumper, sort_keys=False, width=1000)


def main(arguments: list[str]) -> int:
    """Write it, or check it."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("render_rules.py takes --check or nothing\n")
        return 2
    wanted = render()
    if not arguments:
        TARGET.write_text(wanted, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(f"{TARGET.name} is not what {RULES} says: run `make render-rules`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
