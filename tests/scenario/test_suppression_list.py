"""The suppression list over a running system: who is on it gets no mail; files go in and out."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.scenario.test_operator_commands import Operator
from tests.support.redis_server import RedisServer
from tests.support.system import System, poll, running

BOB = "bob@example.test"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running() as found:
        yield found


@pytest.fixture
def operator(redis_server: RedisServer) -> Iterator[Operator]:
    redis_server.client().flushall()  # This module's own server.
    found = Operator(redis_server)
    yield found
    found.store.close()


def command(system: System, *words: str, stdin: str | None = None) -> tuple[int, str, str]:
    """The command on a running system: exit code, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "suppression", *words, "--home", system.home],
        input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def list_ledger(system: System) -> list[str]:
    """The kinds of the list's events, in order."""
    spool = system.spool()
    try:
        events = spool.events(limit=100_000)
        return [each.kind for each in events if each.kind in ("suppressed", "unsuppressed")]
    finally:
        spool.close()


def test_who_is_on_the_list_gets_no_mail_until_taken_off(system: System) -> None:
    before = len(list_ledger(system))
    status, entry, _ = system.ask("POST", "/v1/suppressions", {"address": "Bob@Example.test"})
    assert (status, entry["address"], entry["reason"]) == (201, BOB, "manual")
    kept = system.send(to=[BOB, "ann@example.test"])
    poll(lambda: {each["address"]: each["status"] for each in system.recipients(kept)} == {
        BOB: "suppressed", "ann@example.test": "delivered",
    })  # fmt: skip
    alone = system.send(to="BOB@example.TEST")
    assert [each["status"] for each in system.recipients(alone)] == ["suppressed"]
    done, told, _ = command(system, "show", BOB)
    assert (done, BOB in told) == (0, True)
    status, _, _ = system.ask("GET", f"/v1/suppressions/{BOB}")
    assert status == 200
    done, told, _ = command(system, "remove", BOB, "--application", entry["application"])
    assert (done, told) == (0, f"{BOB} is off the list\n")
    status, problem, _ = system.ask("GET", f"/v1/suppressions/{BOB}")
    assert (status, problem["code"]) == (404, "not_found")
    again = system.send(to=BOB)
    system.wait_status(again, "delivered")
    assert list_ledger(system)[before:] == ["suppressed", "unsuppressed"]
    assert system.ledger(alone) == ["accepted"]
    assert system.ledger(again) == ["accepted", "attempt"]
    assert [each.recipients for each in system.server.messages] == [["ann@example.test"], [BOB]]
    system.reconcile()


def asked(system: System, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    parts = urlsplit(system.http)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {system.key}", "Content-Type": "text/csv"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_file_goes_in_by_the_api_and_comes_out_as_it_was(system: System) -> None:
    rows = "".join(f"api{number}@example.test,bounce\n" for number in range(3000))
    body = f"Email,Reason\n{rows}wrong,bounce\n".encode()
    status, text = asked(system, "POST", "/v1/suppressions/import", body)
    told = json.loads(text)
    assert (status, told["imported"], told["bad_rows"]) == (200, 3000, 1)
    assert told["errors"][0]["row"] == 3002
    status, file = asked(system, "GET", "/v1/suppressions/export")
    assert (status, file.count(b"\r\n")) == (200, 3001)
    status, text = asked(system, "POST", "/v1/suppressions/import?strict=true", file)
    assert (json.loads(text)["imported"], json.loads(text)["unchanged"]) == (0, 3000)
    one = system.send(to="api7@example.test")
    assert [each["status"] for each in system.recipients(one)] == ["suppressed"]
    rows = "email\nx@y.test\nbad\n"
    for options, result in (("--strict", "nothing was imported"), ("--all", "1 imported, 0 were")):
        done, out, err = command(system, "import", "-", "--all", options, stdin=rows)
        assert (done, out.startswith(f"2 rows: {result}")) == (2, True)
        assert err.startswith("line 3, email: No valid address.")
        assert err.count("\n") == 1
    assert command(system, "list", "--all", "--json")[1].count('"address"') == 1


ROWS, BAD_EVERY = 100_000, 1000
_MEMORY = (
    "import atexit, pathlib, sys\n"
    "status = pathlib.Path('/proc/self/status').read_text\n"
    "most = lambda: sys.stderr.write('KiB ' + status().split('VmHWM:')[1].split()[0])\n"
    "atexit.register(most)\n"
    "from shared.cli.main import main\n"
    "main()\n"
)
"""The command, which says at its end how much memory it has had at most."""


def measured(url: str, *words: str) -> tuple[int, str, list[str], float]:
    """The command on a store: exit code, output, lines of errors, MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, "suppression", *words],
        env=os.environ | {"POSTHASTE_STORE_REDIS_URL": url},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    said, _, memory = done.stderr.rpartition("KiB ")
    return done.returncode, done.stdout, said.splitlines(), int(memory) / 1024


@pytest.mark.long
def test_a_hundred_thousand_rows_in_little_memory(
    operator: Operator, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    file, copy = tmp_path / "in.csv", tmp_path / "out.csv"
    bad = range(500, ROWS, BAD_EVERY)
    with file.open("w") as rows:
        rows.write("email,reason,created\n")
        for number in range(ROWS):
            address = "nobody" if number in bad else f"person.{number}@example{number % 99}.test"
            rows.write(f"{address},bounce,2026-01-01 00:00:00\n")
    options = (str(file), "--application", "shop")
    named = [f"line {number + 2}, email: " for number in bad]

    begun = time.monotonic()
    done, told, said, memory = measured(operator.url, "import", *options)
    seconds = time.monotonic() - begun
    good = ROWS - len(bad)
    assert (done, told) == (
        2, f"{ROWS:,} rows: {good:,} imported, 0 were on the list, {len(bad)} bad\n",
    )  # fmt: skip
    assert [line[: len(name)] for line, name in zip(said, named, strict=True)] == named
    assert operator.store.suppressions.count() == good
    assert memory < 90

    done, _, _, memory = measured(operator.url, "export", "--output", str(copy))
    lines = copy.read_bytes().split(b"\r\n")
    assert (done, len(set(lines))) == (0, good + 2)  # The header, and nothing behind the last.
    assert memory < 90
    record_property("import_seconds", round(seconds, 1))
    record_property("memory_mib", round(memory))


def test_what_the_command_does_and_refuses(operator: Operator, tmp_path: Path) -> None:
    both = ("suppression", "add", "Bob@a.test", "ann@a.test", "--application", "shop")
    why = ("--list", "News", "--reason", "unsubscribe", "--expires", "30d")
    added = operator.json(*both, *why)
    assert [(each["address"], each["new"], each["list"]) for each in added["data"]] == [
        ("bob@a.test", True, "News"), ("ann@a.test", True, "News"),
    ]  # fmt: skip
    more = operator.run("suppression", "add", "bob@a.test", "--all", "--detail", "asked by phone")
    assert more.stdout == "bob@a.test is on the list: all mail of all applications, manual\n"
    again = operator.run("suppression", "add", "bob@a.test", "--all", "--detail", "asked twice")
    assert again.stdout.startswith("bob@a.test was on the list: ")
    shown = operator.json("suppression", "show", "BOB@a.test")["data"]
    assert [(each["application"], each["detail"]) for each in shown] == [
        ("*", "asked twice"), ("shop", ""),
    ]  # fmt: skip
    for words, count in (
        ((), 3), (("--application", "shop"), 2), (("--all",), 1), (("--reason", "manual"), 1),
        (("--list", "News"), 2), (("--list", ""), 1), (("--reason", "bounce"), 0),
    ):  # fmt: skip
        assert len(operator.json("suppression", "list", *words)["data"]) == count
    first = operator.json("suppression", "list", "--limit", "2")
    rest = operator.json("suppression", "list", "--cursor", first["next_cursor"])
    assert (len(first["data"]), len(rest["data"]), rest["next_cursor"]) == (2, 1, None)
    file = tmp_path / "out.csv"
    assert operator.run("suppression", "export", "--all", "-o", str(file)).exit_code == 0
    assert file.read_text().count("\n") == 2
    gone = operator.run("suppression", "remove", "bob@a.test", "ann@a.test", "--application",
                        "shop", "--list", "News")  # fmt: skip
    assert (gone.exit_code, gone.stdout.count("off the list")) == (0, 2)
    assert (
        operator.run("suppression", "remove", "bob@a.test", "--application", "shop").exit_code == 1
    )
    both = operator.json("suppression", "remove", "ann@a.test", "bob@a.test", "--all")["data"]
    assert [each["removed"] for each in both] == [False, True]
    assert operator.run("suppression", "show", "bob@a.test").exit_code == 1
    none = operator.run("suppression", "list")
    assert (none.exit_code, none.stdout, none.stderr) == (1, "", "there are no such entries\n")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("add", "bob@a.test"), "--application NAME, or --all"),
        (("add", "bob@a.test", "--application", "x", "--all"), "--application NAME, or --all"),
        (("add", "ann@a.test", "bob", "--all"), "bob: No valid address"),
        (("add", "bob@a.test", "--all", "--expires", "soon"), "--expires: A time"),
        (("add", "bob@a.test", "--all", "--expires", "2020-01-01T00:00:00Z"), "Must lie ahead"),
        (("add", "bob@a.test", "--all", "--detail", "of bob@a.test"), "--detail: Must not hold"),
        (("add", "bob@a.test", "--application", "a\nb"), "--application: The name"),
        (("add", "bob@a.test", "--all", "--list", " x"), "--list: 1 to 64"),
        (("remove", "bob", "--all"), "No valid address"),
        (("remove", "bob@a.test"), "--application NAME, or --all"),
        (("show", "bob"), "No valid address"),
        (("list", "--cursor", "x"), "--cursor: take it"),
        (("import", __file__, "--all"), "the file cannot be read: column address: No column"),
        (("import", __file__, "--all", "--application", "x"), "not both"),
        (("import", __file__, "--application", ""), "--application: The name"),
        (("export", "--all", "--application", "x"), "not both"),
        (("export", "-o", "/nowhere/list.csv"), "/nowhere/list.csv: No such file"),
    ],
)
def test_a_wrong_call_says_what_to_do(
    operator: Operator, words: Sequence[str], remedy: str
) -> None:
    assert remedy in operator.refused("suppression", *words)
    assert operator.store.suppressions.count() == 0
