"""What every container of docker-compose.yml keeps to, and what it shows to the world."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.classification.file import classification_from
from shared.cli.main import cli
from shared.config import load
from shared.shaping.file import shaping_from

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
OURS = {name for name, each in SERVICES.items() if "build" in each}
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_every_part_is_there() -> None:
    assert set(OURS) == {"web", "worker", "bounces", "exporter", "inbox"}
    assert SERVICES.keys() - OURS == {
        "nginx", "redis", "prometheus", "alertmanager", "grafana", "nginx-exporter",
    }  # fmt: skip
    assert [name for name, each in SERVICES.items() if "profiles" in each] == ["inbox"]


@each_service
def test_a_container_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "cap_add", "devices"} & service.keys()
    assert service["networks"]


@each_service
def test_a_container_is_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    if name in OURS:
        assert "\nHEALTHCHECK " in DOCKERFILE
    elif name != "nginx-exporter":  # Its image has nothing that could ask.
        assert service["healthcheck"]["test"]


@each_service
def test_what_it_waits_for_is_healthy(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert other in SERVICES


@each_service
def test_an_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.search(r":[^:/]+\Z", image), f"{image} has no tag"
    assert not image.endswith(":latest")


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_roles_are_one_image_with_the_role_as_its_argument(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "posthaste:local"
    assert service["command"] == [name]
    assert name in cli.commands
    assert re.search(r"^USER (?!0|root)", DOCKERFILE, re.MULTILINE)


def test_nginx_alone_is_public_unless_bounces_are_to_come_from_the_world() -> None:
    for name, service in SERVICES.items():
        for each in service.get("ports", ()):
            port = each.replace("${BOUNCES_ADDRESS:-127.0.0.1}", "127.0.0.1")
            assert (port != each) == (name == "bounces")
            assert (name == "nginx") != port.startswith("127.0.0.1:"), f"{name}: {port}"
    assert {port.rpartition(":")[2] for port in SERVICES["nginx"]["ports"]} == {"8080", "8443"}


def test_the_store_has_no_way_out_and_few_neighbours() -> None:
    assert COMPOSE["networks"]["store"]["internal"] is True
    assert SERVICES["redis"]["networks"] == ["store"]
    beside = {name for name, each in SERVICES.items() if "store" in each["networks"]}
    assert beside == {"redis", "web", "worker", "bounces", "exporter"}


def test_secrets_are_files_and_nothing_else_holds_one() -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret.keys() == {"file"}, name
    told = re.compile(r"(PASSWORD|SECRET|TOKEN|DSN|(?<!PER)_KEY)\Z")
    for name, service in SERVICES.items():
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
        assert not [each for each in service.get("environment", {}) if told.search(each)], name


def test_whoever_speaks_to_the_store_has_its_password_and_the_store_demands_it() -> None:
    """Only where one is given: the file is empty otherwise, and the setting, too."""
    assert COMPOSE["secrets"]["redis_password"]["file"] == "${REDIS_PASSWORD_SECRET:-/dev/null}"
    for name, each in SERVICES.items():
        assert ("redis_password" in each.get("secrets", ())) == ("store" in each["networks"]), name
    for name in ("web", "worker", "bounces", "exporter"):
        told = SERVICES[name]["environment"]["POSTHASTE_STORE_REDIS_PASSWORD_FILE"]
        assert told == "${REDIS_PASSWORD_SECRET:+/run/secrets/redis_password}"
    redis = SERVICES["redis"]
    assert redis["entrypoint"] == ["/bin/sh", "/etc/posthaste/start.sh"]
    mounted = [each.split(":")[0] for each in redis["volumes"] if each.startswith("./")]
    assert all((ROOT / each).is_file() for each in mounted)
    user = re.search(r"^USER \d+:(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert redis["group_add"] == [user[1]]


def test_the_stores_memory_fits_into_its_container_with_room_for_a_rewrite() -> None:
    conf = (ROOT / "deploy" / "redis" / "redis.conf").read_text("utf-8")
    most = re.search(r"^maxmemory (\d+)gb$", conf, re.MULTILINE)
    assert most is not None
    limit = SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert int(most[1]) * 1.5 <= int(limit.removesuffix("G"))


def test_settings_shaping_and_classification_lie_side_by_side_where_every_role_reads_them() -> None:
    for name in ("web", "worker", "bounces", "exporter"):
        mounts = [each for each in SERVICES[name]["volumes"] if each["type"] == "bind"]
        targets = {each["target"]: each["source"] for each in mounts}
        assert targets == {
            "/etc/posthaste/posthaste.toml": "${SETTINGS_FILE:-./deploy/compose/posthaste.toml}",
            "/etc/posthaste/shaping.toml": "${SHAPING_FILE:-./deploy/compose/shaping.toml}",
            "/etc/posthaste/classification.toml": (
                "${CLASSIFICATION_FILE:-./deploy/compose/classification.toml}"
            ),
        }
        assert all(each["read_only"] for each in mounts)
        assert all(each["bind"] == {"create_host_path": False} for each in mounts)
        told = SERVICES[name]["environment"]
        assert told["POSTHASTE_CONFIG"] == "/etc/posthaste/posthaste.toml"
        assert not {"POSTHASTE_SHAPING_FILE", "POSTHASTE_CLASSIFICATION_FILE"} & told.keys()


def test_who_changes_nothing_has_what_is_shipped(tmp_path: Path) -> None:
    shaping = ROOT / "deploy" / "compose" / "shaping.toml"
    found, shipped = shaping_from(shaping), shaping_from(None)
    assert (found.site, found.rule, found.default) == (shipped.site, shipped.rule, shipped.default)
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", shaping.read_text("utf-8"), flags=re.MULTILINE)
    for name, content in (
        ("shaping.toml", text),
        ("posthaste.toml", (shaping.with_name("posthaste.toml")).read_text("utf-8")),
    ):
        (tmp_path / name).write_text(content)
    own = load(tmp_path / "posthaste.toml", {}).shaping.own  # The examples are right, too.
    assert {each[:2] for each in own} == {("default", ""), ("site", "google"), ("relay", "relay")}


def test_who_adds_no_rule_has_the_rules_that_are_shipped(tmp_path: Path) -> None:
    table = ROOT / "deploy" / "compose" / "classification.toml"
    assert classification_from(table, ()).reply == classification_from(None, ()).reply
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", table.read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / "classification.toml").write_text(text)
    (tmp_path / "posthaste.toml").write_text("")
    own = load(tmp_path / "posthaste.toml", {}).classification.own
    assert own == {"partner-is-moving", "exchange-edge"}


def test_a_file_that_is_none_is_no_table(tmp_path: Path) -> None:
    """SHAPING_FILE=/dev/null, as with secrets, is a device in the container."""
    (tmp_path / "posthaste.toml").write_text("")
    (tmp_path / "shaping.toml").symlink_to("/dev/null")
    (tmp_path / "classification.toml").symlink_to("/dev/null")
    settings = load(tmp_path / "posthaste.toml", {})
    assert settings.shaping == shaping_from(None)
    assert settings.classification.path == ""
