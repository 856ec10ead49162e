"""The overlay that deploy/k8s/README.md shows can be made as it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.kubernetes import DIRECTORY, Manifest, kustomize

README = (DIRECTORY / "README.md").read_text("utf-8")


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Manifest, ...]:
    """It, rendered in a copy of deploy."""
    for each in ("k8s", "redis"):
        shutil.copytree(DIRECTORY.parent / each, tmp_path / "deploy" / each)
    files = re.findall(r"( +)# (deploy/k8s/ours/\S+)\n((?:\1.*\n|\n)+?)(?=\n? +#|\n +`)", README)
    assert len(files) == 2
    for indent, path, text in files:
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(dedent(indent + text.removeprefix(indent)), "utf-8")
    settings = (DIRECTORY / "base" / "posthaste.toml").read_text("utf-8")
    changed = settings.replace("smtp.example.com", "smtp.ours.example")
    (tmp_path / "deploy" / "k8s" / "ours" / "posthaste.toml").write_text(changed, "utf-8")
    return kustomize(tmp_path / "deploy" / "k8s" / "ours")


def test_it_has_our_settings_image_and_store(ours: tuple[Manifest, ...]) -> None:
    deployments = [each for each in ours if each["kind"] == "Deployment"]
    assert {
        container["image"]
        for each in deployments
        for container in each["spec"]["template"]["spec"]["containers"]
    } == {"registry.ours.example/posthaste:0.1.0"}
    (settings,) = [each for each in ours if each["kind"] == "ConfigMap"]
    assert "smtp.ours.example" in settings["data"]["posthaste.toml"]
    for each in deployments:
        volumes = each["spec"]["template"]["spec"]["volumes"]
        assert {"name": settings["metadata"]["name"]} in [v.get("configMap") for v in volumes]
    (store,) = [
        each for each in ours
        if (each["kind"], each["metadata"]["name"]) == ("NetworkPolicy", "store")
    ]  # fmt: skip
    assert store["spec"]["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "10.0.5.7/32"}}],
            "ports": [{"protocol": "TCP", "port": 6380}],
        }
    ]
    assert store["spec"]["podSelector"]["matchExpressions"]


def test_every_file_and_command_of_it_exists() -> None:
    for path in re.findall(r"`((?:deploy|tests)/[\w./-]+)`", README):
        assert (DIRECTORY.parents[1] / path).exists(), path
    makefile = (DIRECTORY.parents[1] / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([\w-]+)`", README):
        assert f"\n{target}:" in makefile, target
