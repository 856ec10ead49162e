"""The operators' commands on a real store: what they show, what they change, their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared.cli.main import cli
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.ids import external
from shared.model.status import Status
from shared.store.redis_operations import RedisOperations
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, settings, settlement


class Clock(SystemClock):
    """The machine's clock, where tests want one that can be moved."""

    def advance(self, seconds: float) -> None:
        raise AssertionError("commands see real time")


class Operator:
    """A store, and the command on it."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url
        self.store = RedisTestStore(settings(server.url), Clock())  # type: ignore[arg-type]  # Real time.

    def run(self, *arguments: str) -> Result:
        """The command in this process."""
        runner = CliRunner(env={"POSTHASTE_STORE_REDIS_URL": self.url})
        return runner.invoke(cli, list(arguments))

    def json(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        result = self.run(*arguments, "--json")
        assert result.exit_code in (0, 1), result.output
        return json.loads(result.stdout)

    def refused(self, *arguments: str) -> str:
        """Why a command does nothing."""
        result = self.run(*arguments)
        assert isinstance(result.exception, ConfigError), result.output
        return str(result.exception)

    def aside(self, count: int, status: Status, note: str) -> list[str]:
        """Messages that are set aside."""
        ids = [external(self.store.accept(hold=True)) for _ in range(count)]
        legs = self.store.claim().legs
        self.store.settle(*(settlement(each, status, note=note, answered=False) for each in legs))
        return ids

    def statuses(self, identifier: str) -> list[str]:
        return self.store.statuses(bytes.fromhex(identifier.removeprefix("msg_")))


@pytest.fixture
def operator(redis_server: RedisServer) -> Iterator[Operator]:
    redis_server.client().flushall()  # This module's own server.
    found = Operator(redis_server)
    yield found
    found.store.close()


def test_queue_shows_every_destination_and_why_it_waits(operator: Operator) -> None:
    store = operator.store
    store.accept(hops=("b",))
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    for _ in range(3):
        store.accept(hops=("a",), message_class="bulk")
    store.accept(hops=("c",))
    store.trouble("a", "connect: connection refused")
    store.operations.suspend("c", None, "being moved")
    lines = operator.run("queue").stdout.splitlines()
    assert lines[0].split()[:4] == ["DESTINATION", "CLASS", "STATE", "READY"]
    states = {line.split()[0]: line for line in lines[1:5]}
    assert "backing off" in states["a"]
    assert "connect: connection refused, once since " in states["a"]
    assert "until it is resumed: being moved" in states["c"]
    assert " idle " in states["relay"]
    assert lines[-1].startswith("ready 4, waiting 1, in flight 0, dead letters 0")
    rows = {each["destination"]: each for each in operator.json("queue")["destinations"]}
    assert (rows["a"]["ready"], rows["a"]["class"], rows["a"]["state"]) == (
        3,
        "bulk",
        "backing_off",
    )
    assert rows["b"]["deferred"] == 1
    assert rows["b"]["per_minute"] > 0


def test_suspend_resume_flush(operator: Operator) -> None:
    store = operator.store
    identifier = store.accept(hops=("b",))
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    assert operator.run("suspend", "b", "--for", "2h", "--reason", "moved").exit_code == 0
    assert operator.json("flush", "b", "--dry-run") == {
        "flushed": 0, "chosen": 1, "stand_still": ["b"],
    }  # fmt: skip
    assert store.statuses(identifier) == ["deferred"]
    flushed = operator.run("flush")
    assert flushed.stdout.splitlines() == [
        "flushed 1 deferred legs",
        "b stands still: `posthaste resume b` lets its mail go",
    ]
    assert store.claim().legs == ()
    shown = operator.run("message", "show", external(identifier)).stdout
    assert "waits: an operator has suspended the destination, until " in shown
    assert operator.run("resume", "b").stdout == "resumed b\n"
    assert operator.run("resume", "b").exit_code == 1
    assert operator.run("flush", "b").exit_code == 1
    assert len(store.claim().legs) == 1


def test_message_show_tells_every_attempt(operator: Operator) -> None:
    store = operator.store
    identifier = store.accept(recipients=2)
    for _ in range(8):
        (claimed,) = store.claim().legs
        store.settle(settlement(claimed, Status.DELIVERED, Status.DEFERRED, note="timed\x1b out"))
        store.operations.flush("relay", "transactional", 10)
    text = operator.run("message", "show", external(identifier)).stdout
    assert text.count("via relay  delivered 250") == 8
    assert text.count("deferred 250") == 8
    assert "\x1b" not in text
    body = operator.json("message", "show", external(identifier))
    assert [len(each["attempts"]) for each in body["recipients"]] == [8, 8]
    assert body["recipients"][1]["waiting_for"] == "a_worker"
    assert operator.run("message", "show", "msg_" + "0" * 32).exit_code == 1


def test_dead_letters_by_id_and_by_cause(operator: Operator) -> None:
    poison = operator.aside(3, Status.DEAD, "poison")
    (unreadable,) = operator.aside(1, Status.DEAD, "unreadable")
    text = operator.run("dead", "list", "--limit", "2").stdout
    assert "4 in all, 2 not shown: poison 3, unreadable 1" in text
    rows = operator.json("dead", "list", "--cause", "poison", "--since", "1h", "--class",
                         "transactional", "--destination", "relay", "--app", "app")  # fmt: skip
    assert [each["id"] for each in rows] == poison[::-1]
    assert operator.json("dead", "list", "--until", "1h") == []
    shown = operator.run("dead", "show", poison[0]).stdout
    assert "poison" in shown
    assert "from a@a.test to r0@example.test" in shown
    dry = operator.run("dead", "requeue", "--cause", "poison", "--dry-run")
    assert dry.stdout == "would requeue 3\n"
    assert operator.run("dead", "requeue", poison[0]).stdout == "requeue: 1 of 1\n"
    assert operator.run("dead", "requeue", poison[0]).exit_code == 1
    assert operator.run("dead", "show", poison[0]).exit_code == 1
    assert "this would drop 2: add --yes" in operator.refused("dead", "drop", "--cause", "poison")
    assert operator.json("dead", "drop", "--cause", "poison", "--yes") == {
        "chosen": 2, "done": 2, "overdue": 0,
    }  # fmt: skip
    assert operator.run("dead", "drop", unreadable).stdout == "drop: 1 of 1\n"
    assert [operator.statuses(each)[0] for each in (*poison, unreadable)] == [
        "queued", "cancelled", "cancelled", "cancelled",
    ]  # fmt: skip
    operator.store.reconcile()


@pytest.mark.parametrize("packed", [None, b"\x02", b"\x01\xc1"])
def test_what_cannot_be_read_is_shown_and_dropped(operator: Operator, packed: bytes | None) -> None:
    good, damaged = operator.aside(2, Status.DEAD, "poison")
    operator.store.put_head(bytes.fromhex(damaged.removeprefix("msg_")), packed)
    assert "poison 1, unreadable 1" in operator.run("dead", "list").stdout.replace(
        "unreadable 1, poison 1", "poison 1, unreadable 1"
    )
    assert "(unreadable)" in operator.run("dead", "show", damaged).stdout
    shown = operator.run("message", "show", damaged)
    assert (shown.exit_code, "(unreadable)" in shown.stdout) == (0, True)
    assert operator.run("dead", "requeue", "--all").stdout == "requeue: 2 of 2\n"
    claim = operator.store.claim()
    assert [each.leg_id[:16].hex() for each in claim.legs] == [good.removeprefix("msg_")]
    assert claim.newer == (packed == b"\x02")
    if not claim.newer:
        dropped = operator.run("dead", "drop", "--cause", "unreadable", "--yes")
        assert dropped.stdout == "drop: 1 of 1\n"


def test_uncertain_is_resent_or_dropped(operator: Operator) -> None:
    first, second = operator.aside(2, Status.UNCERTAIN, "connection lost")
    operator.aside(1, Status.DEAD, "poison")
    assert [each["id"] for each in operator.json("uncertain", "list")] == [second, first]
    assert (
        "nobody knows whether the server took it" in operator.run("uncertain", "show", first).stdout
    )
    assert operator.run("uncertain", "resend", first).stdout == "resend: 1 of 1\n"
    assert operator.run("uncertain", "drop", "--all", "--yes").stdout == "drop: 1 of 1\n"
    assert (operator.statuses(first), operator.statuses(second)) == (["queued"], ["cancelled"])
    assert operator.run("uncertain", "list").exit_code == 1
    assert operator.store.spool.depth().dead_legs == 1


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("suspend", "typo"), "there is no destination typo; there are: relay"),
        (("flush", "typo"), "there are: relay"),
        (("suspend", "relay", "--for", "soon"), "--for takes a duration such as 90s"),
        (("dead", "requeue"), "say which: ids, --cause or another choice, or --all"),
        (("dead", "list", "--since", "yesterday"), "--since takes a time such as"),
        (("dead", "show", "1"), "1 is no message id"),
        (("message", "show", "\x1b[2J"), "is no message id"),
    ],
)
def test_a_wrong_call_says_what_to_do(
    operator: Operator, arguments: tuple[str, ...], remedy: str
) -> None:
    told = operator.refused(*arguments)
    assert remedy in told
    assert told.isprintable()


def test_without_a_store_the_exit_code_is_2(operator: Operator) -> None:
    for command in (("queue",), ("dead", "list"), ("message", "show", "msg_" + "0" * 32)):
        found = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", *command],
            env={"POSTHASTE_STORE_REDIS_URL": "redis://127.0.0.1:9/0"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert found.returncode == 2
        assert "check store.redis_url" in found.stderr
        assert "Traceback" not in found.stderr


def test_a_view_of_many_destinations_is_whole(operator: Operator) -> None:
    store = operator.store
    store.spool.accept([store.submission(hops=(f"hop{n}",)) for n in range(1200)])
    assert isinstance(store.operations, RedisOperations)
    assert len(operator.json("queue")["destinations"]) == 1201
