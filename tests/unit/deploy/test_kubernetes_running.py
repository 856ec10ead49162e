"""Starting, stopping, rollouts and drains in deploy/k8s."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.kubernetes import (
    DIRECTORY,
    OVERLAYS,
    containers,
    kustomize,
    named,
    of_kind,
    pods,
    settings_of,
)
from workers.returns.main import STOP_SECONDS

ROOT = DIRECTORY.parents[1]
MANY = ("posthaste-web", "posthaste-worker", "posthaste-bounces")
"""Roles of which there are several."""
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_probes_ask_paths_that_exist_at_the_operators_port(overlay: str) -> None:
    views = (ROOT / "web" / "views" / "health.py").read_text(encoding="utf-8")
    for name, template in pods(overlay):
        (container,) = containers(template)
        ports = {each["name"] for each in container["ports"]}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            if "exec" in probe:
                assert name == "posthaste-store"
            elif "operator" in ports:
                path = "/readyz" if kind == "readinessProbe" else "/livez"
                assert probe["httpGet"] == {"path": path, "port": "operator"}, name
                assert f'"{path}"' in views
            else:
                assert probe["tcpSocket"]["port"] in ports, name


@each_overlay
def test_the_grace_period_holds_a_whole_stop(overlay: str) -> None:
    settings = settings_of(overlay)
    grace = {n: each["spec"]["terminationGracePeriodSeconds"] for n, each in pods(overlay)}
    source = (ROOT / "web" / "gunicorn_conf.py").read_text(encoding="utf-8")
    graceful = re.search(r"^graceful_timeout = (\d+)$", source, re.MULTILINE)
    assert graceful is not None
    drain = settings["web"]["drain_seconds"]
    assert drain == 5
    assert grace["posthaste-web"] >= drain + int(graceful[1]) + 5
    assert grace["posthaste-bounces"] >= STOP_SECONDS + 5
    assert grace["posthaste-worker"] >= settings["worker"]["stop_seconds"] + 8 + 5


@each_overlay
def test_a_stopping_web_is_out_of_the_service_before_it_ends(overlay: str) -> None:
    """The drain is longer than kube-proxy's and the load balancer's notice of one probe."""
    (container,) = containers(dict(pods(overlay))["posthaste-web"])
    assert (
        container["readinessProbe"]["periodSeconds"] <= settings_of(overlay)["web"]["drain_seconds"]
    )
    assert "lifecycle" not in container


def _least(overlay: str) -> dict[str, int]:
    """The fewest replicas that each Deployment ever has."""
    least = {
        each["metadata"]["name"]: int(each["spec"].get("replicas", 1))
        for each in of_kind(overlay, "Deployment")
    }
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler"):
        least[scaler["spec"]["scaleTargetRef"]["name"]] = scaler["spec"]["minReplicas"]
    for scaler in of_kind(overlay, "ScaledObject"):
        least[scaler["spec"]["scaleTargetRef"]["name"]] = scaler["spec"]["minReplicaCount"]
    return least


@each_overlay
def test_a_node_can_be_drained(overlay: str) -> None:
    budgets = of_kind(overlay, "PodDisruptionBudget")
    assert {each["metadata"]["name"] for each in budgets} == set(MANY)
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]
        # A pod that does not get ready must not hold the drain up either.
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        if overlay != "trial":
            assert _least(overlay)[budget["metadata"]["name"]] >= 2


@each_overlay
def test_a_rollout_takes_nothing_away(overlay: str) -> None:
    for name in MANY:
        strategy = named(overlay, "Deployment", name)["spec"]["strategy"]
        assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    exporter = named(overlay, "Deployment", "posthaste-exporter")["spec"]
    assert (exporter["replicas"], exporter["strategy"]) == (1, {"type": "Recreate"})


def test_an_autoscaler_owns_the_number_alone() -> None:
    """`kubectl apply` of a fixed number would undo what the autoscaler did."""
    for name in ("posthaste-web", "posthaste-worker"):
        assert "replicas" not in named("production", "Deployment", name)["spec"]


def test_the_readme_tells_how_many_connections_a_relay_must_allow() -> None:
    spec = named("production", "ScaledObject", "posthaste-worker")["spec"]
    strategy = named("production", "Deployment", "posthaste-worker")["spec"]["strategy"]
    most = spec["maxReplicaCount"] + strategy["rollingUpdate"]["maxSurge"]
    total = most * sum(relay["connections"] for relay in settings_of("production")["relay"])
    readme = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    assert f"{total} connections" in readme
    source = (DIRECTORY / "production" / "scaling.yaml").read_text(encoding="utf-8")
    assert f"= {total}." in re.sub(r"\s*\n#\s*", " ", source)


def test_a_shaping_file_in_the_config_map_stands_beside_the_settings(tmp_path: Path) -> None:
    """A key more, and the name of the ConfigMap, and so every pod, is another."""
    base = Path(os.path.relpath(DIRECTORY / "base", tmp_path))

    def made(*files: str) -> tuple[str, set[str], dict[str, str]]:
        """The ConfigMap's name, its keys, and role -> the ConfigMap at /etc/posthaste."""
        overlay = tmp_path / "ours"
        overlay.mkdir(exist_ok=True)
        for name in files:
            (overlay / name).write_text("")
        (overlay / "kustomization.yaml").write_text(
            f"bases: [{'..' / base}]\nconfigMapGenerator:\n"
            f"  - {{name: posthaste-settings, behavior: replace, files: [{', '.join(files)}]}}\n"
        )
        objects = kustomize(overlay)
        (found,) = [each for each in objects if each["kind"] == "ConfigMap"]
        mounts = {}
        for each in objects:
            if each["kind"] == "Deployment":
                spec = each["spec"]["template"]["spec"]
                (container,) = spec["containers"]
                volumes = {at["name"]: at.get("configMap") for at in spec["volumes"]}
                (mount,) = [
                    at for at in container["volumeMounts"] if at["mountPath"] == "/etc/posthaste"
                ]
                assert "subPath" not in mount
                mounts[each["metadata"]["name"]] = volumes[mount["name"]]["name"]
        return found["metadata"]["name"], set(found["data"]), mounts

    without, keys, _ = made("posthaste.toml")
    assert keys == {"posthaste.toml"}
    files = ("posthaste.toml", "shaping.toml", "classification.toml")
    name, keys, mounts = made(*files)
    assert keys == set(files)
    assert name != without
    assert mounts == dict.fromkeys((*MANY, "posthaste-exporter"), name)
