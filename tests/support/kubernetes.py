"""The manifests of deploy/k8s as `kubectl kustomize` makes them, and ways to look into them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "k8s"
OVERLAYS = ("small", "production", "trial")
CUSTOM_GROUPS = ("keda.sh/", "monitoring.coreos.com/")
Manifest = dict[str, Any]


@cache
def render(overlay: str) -> tuple[Manifest, ...]:
    """Every object of an overlay."""
    return kustomize(DIRECTORY / overlay)


def kustomize(directory: Path) -> tuple[Manifest, ...]:
    """What kubectl makes of a directory. Skips without it; with CI=true that is a failure."""
    found = shutil.which("kubectl")
    if found is None:
        reason = "kubectl is not on PATH (Debian: kubernetes-client)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [found, "kustomize", str(directory)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    """Its objects of some kinds."""
    return [each for each in render(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    """One object; what a generator has made is found without its suffix of ten characters."""
    generated = kind in ("ConfigMap", "Secret")
    (found,) = [
        each for each in of_kind(overlay, kind)
        if name == (each["metadata"]["name"][:-11] if generated else each["metadata"]["name"])
    ]  # fmt: skip
    return found


def pods(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Name and pod template of everything that runs."""
    for each in of_kind(overlay, "Deployment", "StatefulSet"):
        yield each["metadata"]["name"], each["spec"]["template"]


def containers(template: Manifest) -> list[Manifest]:
    """All containers of a pod, those that run before it too."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether a label selector fits labels (the operator In, and matchLabels)."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In", each
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def settings_of(overlay: str) -> dict[str, Any]:
    """The settings as they are in the rendered ConfigMap."""
    text = named(overlay, "ConfigMap", "posthaste-settings")["data"]["posthaste.toml"]
    return tomllib.loads(text)
