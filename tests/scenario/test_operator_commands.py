"""The operators' commands on a real store: what they show, what they change, their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from shared import redrive
from shared.cli.main import cli
from shared.clock import SystemClock
from shared.errors import ConfigError, OutcomeUnknown
from shared.ids import external
from shared.model.leg import Attempt, RecipientReply, pack_history
from shared.model.status import Status
from shared.store.ports import Claimed, Settlement
from shared.store.quotas import Quota
from shared.store.redis_operations import RedisOperations
from tests.support.redis_server import RedisServer
from tests.support.stores import RedisTestStore, settings, settlement
from tests.support.system import poll


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
    assert re.search(r"next probe in \d+s: connect: connection refused, once", states["a"])
    assert "until it is resumed: being moved" in states["c"]
    assert " idle " in states["relay"]
    assert lines[-1].startswith("ready 4, waiting 1, in flight 0, dead letters 0")
    rows = {each["destination"]: each for each in operator.json("queue")["data"]}
    assert (rows["a"]["ready"], rows["a"]["class"], rows["a"]["state"]) == (
        3,
        "bulk",
        "backing_off",
    )
    assert rows["b"]["deferred"] == 1
    assert rows["b"]["per_minute"] > 0


def test_a_destination_nobody_probes_yet_says_so(operator: Operator) -> None:
    store = operator.store
    store.accept(hops=("a",))
    store.run(store.queue().trouble("a", "connect: timed out", 1, 1))
    poll(lambda: "probed by its next message" in operator.run("queue").stdout)
    assert len(store.claim().legs) == 1
    assert "being probed: connect: timed out, once" in operator.run("queue").stdout
    text = operator.run("destinations", "a").stdout
    assert "a, class transactional: probing (connect: timed out; being probed)\n" in text
    assert "one message tries it, and the rest follows" in text


def test_suspend_resume_flush(operator: Operator) -> None:
    store = operator.store
    identifier = store.accept(hops=("b",))
    store.settle(*(settlement(each, Status.DEFERRED) for each in store.claim().legs))
    assert operator.run("suspend", "b", "--for", "2h", "--reason", "moved").exit_code == 0
    told = operator.json("suspend", "b", "--for", "2h", "--reason", "moved")
    (row,) = told["data"]
    assert (told["destination"], row["state"], row["reason"]) == ("b", "suspended", "moved")
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
    assert operator.json("resume", "b")["data"][0]["state"] == "active"
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


def attempt(
    claimed: Claimed, note: str = "", *, charged: bool = True, **statuses: Status
) -> Settlement:
    """One whose replies are for some recipients only: `r0=Status.DELIVERED`."""
    replies = tuple(
        RecipientReply(int(name[1:]), status.letter, 250 + int(name[1:]))
        for name, status in statuses.items()
    )
    leg = claimed.leg
    history = pack_history(
        (*leg.history, Attempt(1, leg.hop, replies, note, charged=charged)), leg.earlier
    )
    after = tuple(statuses.get(f"r{at}", before) for at, before in enumerate(leg.statuses))
    settled = settlement(claimed, *after)
    return msgspec.structs.replace(settled, history=history, attempts=leg.attempts + charged)


def test_an_attempt_is_told_to_those_whom_it_concerned(operator: Operator) -> None:
    store = operator.store
    identifier = external(store.accept(recipients=3))
    (claimed,) = store.claim().legs
    store.settle(attempt(claimed, r0=Status.DELIVERED, r1=Status.DEFERRED, r2=Status.DEFERRED))
    store.operations.flush("relay", "transactional", 10)
    (claimed,) = store.claim().legs
    store.settle(attempt(claimed, charged=False, r1=Status.DEFERRED, r2=Status.DEFERRED))
    store.operations.flush("relay", "transactional", 10)
    (claimed,) = store.claim().legs
    store.settle(attempt(claimed, "poison", r1=Status.DEAD, r2=Status.DEAD))
    told = operator.json("message", "show", identifier)["recipients"]
    counts = [(each["attempt_count"], len(each["attempts"])) for each in told]
    assert counts == [(1, 1), (2, 3), (2, 3)]
    assert [each["outcome"] for each in told[0]["attempts"]] == ["delivered"]
    text = operator.run("message", "show", identifier).stdout
    assert text.count("via relay  delivered") == 1
    assert "via relay  \n" not in text
    (whole,) = operator.json("dead", "show", identifier)["data"]
    assert [(each["address"], each["outcome"], each["code"]) for each in whole["attempts"]] == [
        *[("r1@example.test", "deferred", 251), ("r2@example.test", "deferred", 252)] * 2,
        ("r1@example.test", "dead", 251), ("r2@example.test", "dead", 252),
    ]  # fmt: skip
    text = operator.run("dead", "show", identifier).stdout
    assert "via relay  r2@example.test: deferred 252" in text
    assert "r0@" not in text


def test_a_message_named_twice_is_decided_once(operator: Operator) -> None:
    (identifier,) = operator.aside(1, Status.DEAD, "poison")
    told = operator.json("dead", "requeue", identifier, identifier)
    assert (told["chosen"], told["done"]) == (1, 1)


def test_dead_letters_by_id_and_by_cause(operator: Operator) -> None:
    poison = operator.aside(3, Status.DEAD, "poison")
    (unreadable,) = operator.aside(1, Status.DEAD, "unreadable")
    text = operator.run("dead", "list", "--limit", "2").stdout
    assert "4 in all, 2 not shown: poison 3, unreadable 1" in text
    rows = operator.json("dead", "list", "--cause", "poison", "--since", "1h", "--class",
                         "transactional", "--destination", "relay", "--app", "app")  # fmt: skip
    assert [each["id"] for each in rows["data"]] == poison[::-1]
    nothing: dict[str, Any] = {"data": [], "next_cursor": None}
    assert operator.json("dead", "list", "--until", "1h") == nothing
    page = operator.json("dead", "list", "--limit", "3")
    rest = operator.json("dead", "list", "--cursor", page["next_cursor"])
    assert [each["id"] for each in (*page["data"], *rest["data"])] == [unreadable, *poison[::-1]]
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
        "chosen": 2, "done": 2, "overdue": 0, "next_cursor": None,
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
    assert [each["id"] for each in operator.json("uncertain", "list")["data"]] == [
        second,
        first,
    ]
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
        (("suspend", "relay", "--for", "367d"), "--for: 1 to 31622400 s (366 days)"),
        (("suspend", "relay", "--reason", "x" * 201), "--reason: At most 200 printable"),
        (("suspend", "relay", "--reason", "a\x1b[2J"), "--reason: At most 200 printable"),
        (("suspend", "relay", "--reason", "bad\udcff"), "argument 4, 'bad\\udcff', is not UTF-8"),
        (("suspend", "\x1b[2J"), "there is no destination \ufffd[2J; there are: relay"),
        (("dead", "requeue"), "say which: ids, --cause or another choice, or --all"),
        (("dead", "list", "--since", "yesterday"), "--since takes a time such as"),
        (("dead", "list", "--since", "1h", "--until", "2h"), "--until must lie after --since"),
        (("dead", "list", "--cursor", "x"), "--cursor: take it from next_cursor"),
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
    assert [each.pause for each in operator.store.operations.destinations()] == []


def _words(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, with its group."""
    for name, each in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _words(each, (*path, name)) if isinstance(each, click.Group) else [(*path, name)]


def test_bytes_that_are_no_text_end_every_command(operator: Operator) -> None:
    for words in _words(cli):
        for given in (("bad\udcff",), ("--home", "bad\udcff"), ("--bad\udcff", "x")):
            told = operator.refused(*words, *given)
            assert "is not UTF-8 text" in told
            assert told.isprintable()


def test_a_store_that_dies_in_the_middle_is_told_by_numbers(
    own_redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(own_redis_server)
    operator.aside(60, Status.DEAD, "poison")
    monkeypatch.setattr(redrive, "BATCH", 10)
    drop, calls = RedisOperations.drop, 0

    def dying(self: RedisOperations, legs: Sequence[bytes]) -> list[bool]:
        nonlocal calls
        calls += 1
        if calls == 4:
            own_redis_server.kill()
        return drop(self, legs)

    monkeypatch.setattr(RedisOperations, "drop", dying)
    result = operator.run("dead", "drop", "--all", "--yes", "--json")
    told = json.loads(result.stdout)
    assert (told["chosen"], told["done"], told["interrupted"]) == (60, 30, True)
    assert told["in_doubt"] in (0, 10)
    assert isinstance(result.exception, ConfigError)  # Which is exit code 2.
    assert "drop: 30 of 60 done" in str(result.exception)
    assert "then the store went away" in str(result.exception)
    assert "run it again" in str(result.exception)
    own_redis_server.start()
    operator.store.close()
    operator = Operator(own_redis_server)
    assert operator.json("dead", "drop", "--all", "--yes")["done"] == 30
    operator.store.close()


def test_a_reader_that_goes_is_not_nothing_found(operator: Operator) -> None:
    operator.aside(100, Status.DEAD, "poison")
    for words in (("dead", "list", "--limit", "1000", "--json"), ("--help",)):
        read, write = os.pipe()
        os.close(read)
        found = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", *words],
            env={"POSTHASTE_STORE_REDIS_URL": operator.url},
            stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
        os.close(write)
        assert (found.returncode, found.stderr) == (141, "")


def test_ctrl_c_is_not_nothing_found(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RedisOperations, "destinations", interrupt)
    assert operator.run("queue").exit_code == 130


def test_what_is_printed_does_not_move_the_cursor(operator: Operator) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "key", "revoke", "\x1b[2J"],
        env={"POSTHASTE_STORE_REDIS_URL": operator.url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (2, "")
    assert "\x1b" not in found.stderr


def test_a_change_without_an_answer_may_have_been_done(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise OutcomeUnknown("the store did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(RedisOperations, "suspend", silent)
        assert "may or may not have been done" in operator.refused("suspend", "relay")
    suspend = RedisOperations.suspend

    def last(self: RedisOperations, *given: Any) -> None:
        suspend(self, *given)
        monkeypatch.setattr(RedisOperations, "destinations", silent)

    monkeypatch.setattr(RedisOperations, "suspend", last)
    assert "it was done, but then" in operator.refused("suspend", "relay", "--json")


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
    assert len(operator.json("queue")["data"]) == 1201


def test_quota_shows_what_applications_have_used(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "posthaste.toml"
    file.write_text(
        "[application.shop]\nquota_per_month = 20000\n[application.free]\n"
        "[application.news]\nquota_per_month = 5\nquota_per_day = 4\n"
    )
    monkeypatch.setenv("POSTHASTE_CONFIG", str(file))
    operator.store.accept(recipients=3, application="news", quota=Quota(day=4, month=5))
    lines = [line.split() for line in operator.run("quota").stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        ["APPLICATION", "WINDOW", "LIMIT", "USED"],
        ["news", "day", "4", "3"],
        ["news", "month", "5", "3"],
        ["shop", "month", "20,000", "0"],
    ]
    (news,) = operator.json("quota", "news")["data"]
    assert [each["used"] for each in news["quota"]] == [3, 3]
    for arguments in (["quota", "free"], ["quota", "no\x1bbody"]):
        result = operator.run(*arguments)
        assert result.exit_code == 1
        assert "no quota is set" in result.stderr
        assert "\x1b" not in result.stderr
