"""What every pod of deploy/k8s keeps to, in every overlay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.cli.main import cli
from shared.config import _NOT_SETTINGS, _variables, load
from tests.support.kubernetes import (
    DIRECTORY,
    OVERLAYS,
    containers,
    named,
    of_kind,
    pods,
    render,
    selects,
)

ROLES = (
    "posthaste-web", "posthaste-worker", "posthaste-bounces", "posthaste-exporter",
    "posthaste-inbox",
)  # fmt: skip
"""Who runs our image."""
IMAGE_USER = 10001
SECRETS = {
    "posthaste-web": {"posthaste-common"},
    "posthaste-worker": {"posthaste-common", "posthaste-relay", "posthaste-dkim"},
    "posthaste-bounces": {"posthaste-common", "posthaste-bounces-tls"},
}
"""What each role may read, besides the store's URL."""
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_every_pod_is_restricted(overlay: str) -> None:
    found = list(pods(overlay))
    assert len(found) >= 3
    for name, template in found:
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir"}, name
        for each in containers(template):
            security = each["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys(), name
            assert "memory" in each["resources"]["limits"], name


@each_overlay
def test_the_namespace_refuses_others(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    everything = [each for each in render(overlay) if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in everything} == {"posthaste"}


@each_overlay
def test_our_roles_run_one_image_as_its_user(overlay: str) -> None:
    dockerfile = (DIRECTORY.parent / "Dockerfile").read_text(encoding="utf-8")
    assert f"\nUSER {IMAGE_USER}" in dockerfile
    images = set()
    for name, template in pods(overlay):
        if name in ROLES:
            (container,) = containers(template)
            images.add(container["image"])
            assert template["spec"]["securityContext"]["runAsUser"] == IMAGE_USER
            assert template["spec"]["serviceAccountName"] == name
    (image,) = images
    assert re.search(r":[^:/]+\Z", image), f"{image} has no tag"
    assert not image.endswith(":latest")


@each_overlay
def test_every_role_is_a_command(overlay: str) -> None:
    for name, template in pods(overlay):
        if name in ROLES:
            (role,) = containers(template)[0]["args"]
            assert role == name.removeprefix("posthaste-")
            assert role in cli.commands


@each_overlay
def test_selectors_fit_what_they_are_for(overlay: str) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods(overlay)}
    for each in of_kind(overlay, "Deployment", "StatefulSet"):
        own = labels[each["metadata"]["name"]]
        assert selects(each["spec"]["selector"], own)
        for spread in each["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert selects(spread["labelSelector"], own)
    for service in of_kind(overlay, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        assert sum(selects(selector, each) for each in labels.values()) == 1
    for one in of_kind(overlay, "PodDisruptionBudget", "PodMonitor"):
        fitting = [name for name, each in labels.items() if selects(one["spec"]["selector"], each)]
        assert fitting == [one["metadata"]["name"]]


@each_overlay
def test_a_pod_has_its_service_account_and_its_files(overlay: str) -> None:
    accounts = {each["metadata"]["name"] for each in of_kind(overlay, "ServiceAccount")}
    maps = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap")}
    for name, template in pods(overlay):
        spec = template["spec"]
        if name in ROLES:
            assert spec["serviceAccountName"] in accounts
        volumes = {each["name"] for each in spec["volumes"]}
        mounted = {each["name"] for c in containers(template) for each in c["volumeMounts"]}
        assert volumes <= mounted, name
        assert mounted - volumes <= {"data"}, name  # The claim of the trial's store.
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps


@each_overlay
def test_every_variable_is_a_setting(overlay: str) -> None:
    known = _variables().keys() | _NOT_SETTINGS
    for name, template in pods(overlay):
        for container in containers(template):
            given = {each["name"] for each in container.get("env", [])}
            assert given <= known, name
        # Kubernetes would set POSTHASTE_WEB_PORT and the like, and no role would start.
        assert template["spec"]["enableServiceLinks"] is False, name


@each_overlay
def test_the_settings_are_settings(overlay: str, tmp_path: Path) -> None:
    path = tmp_path / "posthaste.toml"
    data = named(overlay, "ConfigMap", "posthaste-settings")["data"]
    path.write_text(data["posthaste.toml"], encoding="utf-8")
    settings = load(path, environment={"POSTHASTE_STORE_REDIS_URL": "redis://store:6379/0"})
    assert settings.relay
    for relay in settings.relay:
        assert not relay.password


@each_overlay
def test_secrets_are_referred_to_and_workers_alone_have_the_relays(overlay: str) -> None:
    made = {each["metadata"]["name"] for each in of_kind(overlay, "Secret")}
    assert bool(made) == (overlay == "trial")
    for name, template in pods(overlay):
        mounted = {v["secret"]["secretName"] for v in template["spec"]["volumes"] if "secret" in v}
        assert mounted == SECRETS.get(name, set()), name
        for env in containers(template)[0].get("env", []):
            if "valueFrom" in env:
                reference = env["valueFrom"]["secretKeyRef"]
                assert reference["key"] == "redis-url"
                assert reference["name"] in (made or {"posthaste-store"})


@each_overlay
def test_a_pod_writes_into_memory_or_a_bounded_directory(overlay: str) -> None:
    for name, template in pods(overlay):
        for volume in template["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], name
        if name == "posthaste-web":
            (tmp,) = [each for each in template["spec"]["volumes"] if each["name"] == "tmp"]
            assert tmp["emptyDir"]["medium"] == "Memory"
            mounts = {each["mountPath"] for each in containers(template)[0]["volumeMounts"]}
            assert {"/tmp", "/dev/shm"} <= mounts  # noqa: S108  # The pod's, not ours.


def test_the_trials_store_has_our_configuration() -> None:
    conf = (DIRECTORY.parent / "redis" / "redis.conf").read_text(encoding="utf-8")
    made = named("trial", "ConfigMap", "posthaste-store-configuration")
    assert made["data"] == {"redis.conf": conf}
    (container,) = containers(dict(pods("trial"))["posthaste-store"])
    assert container["args"][0] == "/etc/posthaste/redis.conf"


def test_every_manifest_is_used() -> None:
    """A file that no kustomization names would only look as if it were there."""
    for directory in (DIRECTORY / each for each in ("base", *OVERLAYS)):
        text = (directory / "kustomization.yaml").read_text(encoding="utf-8")
        for path in directory.iterdir():
            if path.name != "kustomization.yaml":
                assert re.search(rf"- {re.escape(path.name)}$", text, re.MULTILINE), path
