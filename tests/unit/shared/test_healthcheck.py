"""The image's one health check asks the role that the container runs."""

from __future__ import annotations

import pytest

from shared.cli.roles import bounces, exporter, inbox, web, worker
from shared.feedback_settings import BounceSettings
from shared.healthcheck import MARKS, listener, role_of
from shared.settings import ExporterSettings, InboxSettings, Settings, WebSettings, WorkerSettings
from shared.supervisor.plan import module_command, web_command

ROLES = ("web", "worker", "bounces", "exporter", "inbox")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_known_by_its_argument_also_behind_an_init(role: str) -> None:
    assert role_of(["/opt/posthaste/bin/python", "/opt/posthaste/bin/posthaste", role]) == role
    assert role_of(["/sbin/docker-init", "--", "posthaste", role]) == role
    assert {each.name for each in (web, worker, bounces, exporter, inbox)} == set(ROLES)


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("web", web_command()),
        ("worker", module_command("workers.main")),
        ("bounces", module_command("workers.returns.main")),
        ("exporter", module_command("shared.exporter")),
        ("inbox", module_command("web.inbox")),
    ],
)
def test_a_role_is_known_by_the_process_it_becomes(role: str, command: tuple[str, ...]) -> None:
    assert role_of(list(command)) == role


def test_nothing_else_is_a_role() -> None:
    assert role_of(["sh", "-c", "sleep 5"]) == ""
    assert set(MARKS.values()) == set(ROLES)


def test_each_role_is_asked_at_its_own_listener() -> None:
    settings = Settings(
        web=WebSettings(listen="a:1", operator_listen="b:2"),
        worker=WorkerSettings(listen="c:3"),
        bounces=BounceSettings(listen="g:7", operator_listen="h:8"),
        exporter=ExporterSettings(listen="d:4"),
        inbox=InboxSettings(listen="e:5", smtp_listen="f:6"),
    )
    assert [listener(settings, role) for role in ROLES] == ["b:2", "c:3", "h:8", "d:4", "e:5"]
    assert listener(Settings(), "worker") == ""
