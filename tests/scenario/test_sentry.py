"""What a process tells Sentry when it breaks, read at an ingest endpoint of our own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from shared.config import load
from shared.errors import ConfigError
from shared.sentry import AGAIN_SECONDS, MOST_A_MINUTE, MOST_CAUSES, Allowance
from tests.support.breaking import EVERYTHING, WAYS
from tests.support.sentry_ingest import KEY, SECRET, Post, SentryIngest
from tests.support.system import running

FIELDS = {
    "event_id", "timestamp", "level", "release", "environment", "platform", "fingerprint", "tags",
    "exception", "logentry",
}  # fmt: skip
ENVIRONMENT_WITH_SECRETS = {"SENTRY_SPOTLIGHT": "1", "SECRET_OF_THE_ENVIRONMENT": "hunter3"}


def broken(way: str, ingest: SentryIngest) -> tuple[list[dict[str, Any]], str]:
    """The events of a process that breaks, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.breaking", way, ingest.dsn],
        capture_output=True, text=True, timeout=60, env=os.environ | ENVIRONMENT_WITH_SECRETS,
    )  # fmt: skip
    assert done.returncode == (1 if way == "uncaught" else 0), done.stderr
    return ingest.events(), done.stdout + done.stderr


def check_nothing_leaks(posts: list[Post]) -> None:
    assert posts
    for post in posts:
        told = f"{post.path}\n{post.headers}\n{post.text}"
        for secret in (*EVERYTHING, "hunter3", "192.0.2.1", "Cookie", "Authorization: Bearer"):
            assert secret not in told
        for secret in (KEY, SECRET, socket.gethostname(), str(Path.cwd()), "127.0.0.1"):
            assert secret not in post.text


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_message_leaves(way: str) -> None:
    with SentryIngest() as ingest:
        events, _ = broken(way, ingest)
        check_nothing_leaks(ingest.posts)
        for event in events:
            assert set(event) <= FIELDS
            assert event["release"] == version("posthaste")
            assert event["environment"] == "test"
            for each in event.get("exception", {}).get("values", ()):
                assert set(each) == {"type", "module", "value", "stacktrace"}
                assert each["value"] in ("", "ECONNREFUSED")
                for frame in each["stacktrace"]["frames"]:
                    assert set(frame) == {"module", "function", "filename", "lineno", "in_app"}


def test_the_key_goes_to_the_endpoint_only_where_the_protocol_wants_it() -> None:
    with SentryIngest() as ingest:
        broken("attempt", ingest)
        (post,) = ingest.posts
        assert post.path == "/api/42/envelope/"
        assert KEY in post.headers.pop("x-sentry-auth")
        assert post.headers["content-encoding"] == "gzip"
        assert KEY not in str(post.headers)


def test_an_error_of_web_is_found_by_its_request() -> None:
    with SentryIngest() as ingest:
        (event,), _ = broken("web_view", ingest)
        assert event["tags"]["request_id"] == "req-1"
        assert event["tags"]["role"] == "web"
        assert event["tags"]["event"] == "unexpected_error"
        types = [each["type"] for each in event["exception"]["values"]]
        assert types == ["ValueError", "BadAddress"]
        assert event["fingerprint"][0] == "ValueError"
        assert event["fingerprint"][1] == "web.accept:accept"


def test_an_attempt_that_breaks_is_found_by_its_leg() -> None:
    with SentryIngest() as ingest:
        (event,), _ = broken("attempt", ingest)
        assert event["tags"]["event"] == "attempt_broke"
        assert len(event["tags"]["leg"]) >= 32
        assert event["fingerprint"] == ["ValueError", "workers.engine:_work"]


def test_an_exception_that_nobody_catches_is_told_too() -> None:
    with SentryIngest() as ingest:
        events, _ = broken("uncaught", ingest)
        assert sorted(event["tags"]["event"] for event in events) == [
            "process_broke", "thread_broke",
        ]  # fmt: skip


def test_an_outage_of_the_store_is_one_issue() -> None:
    with SentryIngest() as ingest:
        events, _ = broken("outage", ingest)
        prints = [event["fingerprint"] for event in events]
        assert prints.count(["store", "unreachable"]) == 1, "once, of 9,000"
        assert prints.count(["store", "full"]) == 1
        assert len(events) == MOST_A_MINUTE


def test_a_real_outage_is_reported_once_by_each_process() -> None:
    with SentryIngest() as ingest, running(settings=f'[sentry]\ndsn = "{ingest.dsn}"') as system:
        system.send()
        system.server.wait_for(1)
        system.kill("redis")
        events = ingest.wait_for(1)
        system.send_when_back()
        system.server.wait_for(2)
        assert {tuple(each["fingerprint"]) for each in events} == {("store", "unreachable")}
        for event in ingest.events():
            assert event["fingerprint"] == ["store", "unreachable"]
        told = json.dumps(ingest.events())
        assert "example.test" not in told
        assert system.key not in told


def test_the_allowance_counts_what_it_holds_back() -> None:
    now = [1000.0]
    allowance = Allowance(lambda: now[0])
    assert allowance.take(("a",)) == 0
    assert [allowance.take(("a",)) for _ in range(5)] == [None] * 5
    assert allowance.take(("b",)) == 0
    now[0] += AGAIN_SECONDS
    assert allowance.take(("a",)) == 5
    assert allowance.take(("b",)) == 0


def test_the_allowance_is_bounded() -> None:
    now = [1000.0]
    allowance = Allowance(lambda: now[0])
    taken = [allowance.take((str(number),)) for number in range(2 * MOST_CAUSES)]
    assert sum(each is not None for each in taken) == MOST_A_MINUTE
    assert len(allowance._causes) == MOST_CAUSES


@pytest.mark.parametrize("dsn", ["nonsense", "https://host/1", "https://key@host", "ftp://k@h/1"])
def test_a_wrong_dsn_is_refused_without_being_repeated(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"sentry\.dsn must be") as found:
        load(environment={"POSTHASTE_SENTRY_DSN": dsn})
    assert dsn not in str(found.value)


def test_the_dsn_may_stand_in_a_file(tmp_path: Path) -> None:
    with SentryIngest() as ingest:
        (tmp_path / "dsn").write_text(ingest.dsn + "\n")
        script = (
            "from shared.config import load; from shared.logging import configure;"
            "from shared.sentry import start_sentry; import structlog;"
            "s = load(); configure(s.log); start_sentry(s.sentry, 'worker');"
            "structlog.get_logger('x').error('from_a_file')"
        )
        environment = {
            "POSTHASTE_SENTRY_DSN_FILE": str(tmp_path / "dsn"),
            "POSTHASTE_SENTRY_RELEASE": "r7",
        }
        subprocess.run(
            [sys.executable, "-c", script], check=True, timeout=60, env=os.environ | environment
        )
        (event,) = ingest.events()
        assert event["release"] == "r7"
        assert event["tags"]["role"] == "worker"
        assert ingest.dsn not in repr(load(environment={"POSTHASTE_SENTRY_DSN": ingest.dsn}))


def test_without_a_dsn_nothing_happens() -> None:
    script = (
        "from shared.sentry import report, start_sentry; from shared.settings import *;"
        "start_sentry(SentrySettings(), 'web'); line = {'event': 'x', 'exc_info': True};"
        "assert report(None, 'error', line) is line"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
