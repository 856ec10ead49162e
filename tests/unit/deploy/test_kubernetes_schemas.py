"""Everything that kustomize makes of deploy/k8s is valid, and what is generated is current.

Core kinds by Kubernetes's own schemas, the others by ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.custom_kinds import SCHEMAS
from tests.support.kubernetes import (
    CUSTOM_GROUPS,
    DIRECTORY,
    OVERLAYS,
    Manifest,
    named,
    of_kind,
    render,
)

VERSIONS = ("1.30", "1.37")
"""The oldest that deploy/k8s/README.md promises, and the newest that is known here."""


def _valid(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_core_kinds_are_valid(version: str) -> None:
    """Each once, however many overlays have it: the validator reads its schemas for each anew."""
    every = [each for overlay in OVERLAYS for each in render(overlay)]
    core = {
        json.dumps(each, sort_keys=True): each
        for each in every
        if not each["apiVersion"].startswith(CUSTOM_GROUPS)
    }
    assert len(core) > 30
    for each in core.values():
        _valid(each, version)


def test_the_validator_refuses_a_field_that_is_not_there() -> None:
    wrong = deepcopy(named("small", "Deployment", "posthaste-web"))
    wrong["spec"]["minReadySecond"] = wrong["spec"].pop("minReadySeconds")
    with pytest.raises(kubernetes_validate.ValidationError):
        _valid(wrong, VERSIONS[-1])


def test_custom_kinds_have_known_fields_only() -> None:
    custom = [each for each in render("production") if each["apiVersion"].startswith(CUSTOM_GROUPS)]
    assert {each["kind"] for each in custom} == set(SCHEMAS)
    for each in custom:
        jsonschema.validate(each, SCHEMAS[each["kind"]])


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ScaledObject", "spec.minReplicas", 2),
        ("ScaledObject", "spec.triggers.0.metadata.threshold", 300),
        ("ScaledObject", "spec.triggers.0.metadata.metricName", "depth"),
        ("ScaledObject", "spec.fallback.behavior", "current"),
        ("PodMonitor", "spec.endpoints", []),
        ("PodMonitor", "spec.podMetricsEndpoints.0.interval", "15"),
    ],
)
def test_our_schemas_refuse_what_the_definitions_do_not_have(
    kind: str, path: str, value: object
) -> None:
    wrong = deepcopy(of_kind("production", kind)[0])
    *way, last = path.split(".")
    place: Any = wrong
    for part in way:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMAS[kind])


def test_the_behavior_of_the_scaled_object_is_an_autoscalers() -> None:
    spec = named("production", "ScaledObject", "posthaste-worker")["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    scaler = deepcopy(named("production", "HorizontalPodAutoscaler", "posthaste-web"))
    scaler["spec"]["behavior"] = behavior
    _valid(scaler, VERSIONS[-1])


@pytest.mark.parametrize("overlay", ["small", "trial"])
def test_overlays_without_operators_use_core_kinds_only(overlay: str) -> None:
    assert not [each for each in render(overlay) if each["apiVersion"].startswith(CUSTOM_GROUPS)]
    assert not of_kind(overlay, "HorizontalPodAutoscaler")


def test_the_rules_are_those_of_prometheus() -> None:
    done = subprocess.run(
        [sys.executable, str(DIRECTORY / "render_rules.py"), "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_rule_file_is_in_the_prometheus_rule() -> None:
    files = sorted((DIRECTORY.parent / "prometheus" / "rules").glob("*.y*ml"))
    written = [
        group["name"]
        for path in files
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    groups = named("production", "PrometheusRule", "posthaste")["spec"]["groups"]
    assert [each["name"] for each in groups] == written
    assert len(set(written)) == len(written)
