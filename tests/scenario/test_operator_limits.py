"""`posthaste limit`, `move` and `destinations` on a real store: what they show and change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from shared import moving
from shared.errors import OutcomeUnknown
from shared.hops import DestinationLimit
from shared.ids import external
from shared.model.status import Status
from shared.store.redis_operations import RedisOperations
from tests.scenario.test_operator_commands import Operator
from tests.support.redis_server import RedisServer
from tests.support.stores import settlement

SETTINGS = """
[[relay]]
name = "old"
url = "smtp://127.0.0.1:1"
[[relay]]
name = "new"
url = "smtp://127.0.0.1:1"
[[route]]
name = "world"
direct = true
source_address = "127.0.0.1"
tags = ["world"]
"""


@pytest.fixture
def operator(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    redis_server.client().flushall()  # This module's own server.
    file = tmp_path / "posthaste.toml"
    file.write_text(SETTINGS)
    monkeypatch.setenv("POSTHASTE_CONFIG", str(file))
    found = Operator(redis_server)
    yield found
    found.store.close()


def test_a_limit_is_shown_set_and_cleared(operator: Operator) -> None:
    store = operator.store
    store.run(store.queue().limit("old", DestinationLimit(per_minute=600)))
    for _ in range(4):
        store.accept(hops=("old",))
    done = operator.run("limit", "set", "old", "--per-minute", "3", "--per-second", "0",
                        "--for", "2h", "--reason", "asked to")  # fmt: skip
    assert done.exit_code == 0
    assert "old has this limit until " in done.stdout
    assert len(store.claim().legs) == 3
    row = next(line for line in operator.run("limit", "show").stdout.splitlines() if "600" in line)
    assert row.split()[:6] == ["old", "per", "minute", "3", "3", "600"]
    assert row.endswith(": asked to")
    (told,) = operator.json("limit", "show", "old")["data"]
    assert [(each["name"], each["limit"], each["used"]) for each in told["limits"]] == [
        ("per_second", None, None), ("per_minute", 3, 3),
    ]  # fmt: skip
    shown = operator.run("destinations", "old").stdout
    assert "limit per minute of old: 3/min, 3 used (operator until " in shown
    assert ": asked to; configured 600/min)" in shown
    assert "at most 3/min; by an operator" in operator.run("queue").stdout
    cleared = operator.run("limit", "clear", "old")
    assert cleared.stdout == "old has its configured limits again\n"
    assert operator.run("limit", "clear", "old").exit_code == 1
    (again,) = operator.json("limit", "show", "old")["data"]
    assert (again["operator"], len(again["limits"])) == (None, 1)
    assert operator.run("limit", "show", "new").exit_code == 1
    assert operator.json("limit", "set", "mx:*", "--connections", "2")["destination"] == "mx:*"
    assert operator.json("limit", "clear", "mx:*")["limits"] == []


def test_a_message_that_a_limit_keeps_says_so(operator: Operator) -> None:
    store = operator.store
    ids = [store.accept(hops=("mx:mx.a.test@world",)) for _ in range(2)]
    operator.run("limit", "set", "@world", "--per-hour", "1")
    assert len(store.claim().legs) == 1
    assert store.claim().legs == ()
    text = operator.run("message", "show", external(ids[1])).stdout
    assert "waits: its destination may not have more at the moment, until " in text
    assert re.search(
        r"limited .* next in \S+( \S+)?; at most 1/h; by an operator", operator.run("queue").stdout
    )
    assert "(per_hour of @world)" in text
    assert "destination mx:mx.a.test@world, the site mx.a.test; no route of its own" in text


def test_mail_is_moved_and_told(operator: Operator) -> None:
    store = operator.store
    ids = [store.accept(hops=("old",)) for _ in range(3)]
    (claimed,) = store.claim(limit=1, quantum=1).legs
    lost = settlement(claimed, Status.UNCERTAIN)
    store.settle(msgspec.structs.replace(lost, statuses=(Status.DEFERRED,)))
    dry = operator.run("move", "old", "--to", "new", "--dry-run").stdout
    assert dry.startswith("would move 2 legs from old to new\n1 stay: they may have arrived")
    store.operations.suspend("new", None, "")
    done = operator.run("move", "old", "--to", "new").stdout
    assert done.startswith("moved 2 legs from old to new\n1 stay")
    assert "new stands still: `posthaste resume new` lets its mail go" in done
    told = operator.json("move", "old", "--to", "new", "--uncertain", "--now")
    assert (told["moved"], told["stay"]) == (1, 0)
    assert operator.run("move", "old", "--to", "new").exit_code == 1
    text = operator.run("message", "show", external(ids[1])).stdout
    assert "via old  moved; to new" in text
    assert operator.json("move", "new", "--to", "routes", "--uncertain")["moved"] == 3
    same = operator.run("move", "old", "--to", "routes", "--uncertain")
    assert (same.exit_code, "3 stay: the routes send them there" in same.stdout) == (1, True)


def test_a_move_that_breaks_in_the_middle_is_told_by_numbers(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        operator.store.accept(hops=("old",))
    monkeypatch.setattr(moving, "STEP", 2)
    move, calls = RedisOperations.move, 0

    def silent(self: RedisOperations, *given: object, **options: object) -> list[bool]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OutcomeUnknown("the store did not answer")
        return move(self, *given, **options)  # type: ignore[arg-type]  # As they came.

    monkeypatch.setattr(RedisOperations, "move", silent)
    told = operator.refused("move", "old", "--to", "new")
    assert "move: 2 of 4 done, and at most 2 more, then the store went away" in told
    assert operator.json("move", "old", "--to", "new")["moved"] == 3


def test_a_destination_tells_its_last_refusal(operator: Operator) -> None:
    store = operator.store
    store.accept(hops=("old",))
    (claimed,) = store.claim().legs
    given = settlement(claimed, Status.DEFERRED)
    store.settle(msgspec.structs.replace(given, refusal="450 4.2.0 not\x1b now"))
    text = operator.run("destinations", "old").stdout
    assert "450 4.2.0 not\ufffd now" in text
    assert "deferred 1, in flight 0, the oldest accepted " in text
    (row,) = operator.json("destinations", "old")["data"]
    assert row["last_refusal"]["reply"] == "450 4.2.0 not\x1b now"
    everything = operator.json("destinations")
    assert everything["data"] == operator.json("queue")["data"]


def test_a_destination_that_asks_for_less_says_since_when_until_when_and_what_to_do(
    operator: Operator,
) -> None:
    store, hop, note = operator.store, "mx:mx.a.test@world", "asked for less: 421 (rule r)"
    waits = store.accept(hops=(hop,))
    store.run(store.queue().limit("mx:mx.a.test", DestinationLimit(2.0)))
    store.run(store.queue().trouble(hop, note, 60_000, 60_000, firm=True, slow=True))
    queue, text = operator.run("queue").stdout, operator.run("destinations", hop).stdout
    said, slow = re.escape(note), r"slowed down, twice as much each minute until \S+Z"
    assert re.search(rf"backing off .* next probe in \S+: {said}, once", queue)
    assert re.search(rf": backing off until \S+Z \({said}\)\n  has stood still once since", text)
    assert "one message tries it then" in text
    assert f"posthaste resume {hop}; another way: posthaste move {hop} --to HOP" in text
    assert re.search(rf"per second of mx:mx.a.test: 1/s \({slow}; configured 2/s\)", text)
    assert re.search(rf"mx:mx.a.test +per second .* {slow}", operator.run("limit", "show").stdout)
    shown = operator.run("message", "show", external(waits)).stdout
    assert re.search(rf"waits: the destination stands still, until \S+Z \({said}\)", shown)
    store.operations.suspend(hop, None, "night")
    text = operator.run("destinations", hop).stdout
    assert f"to let it go: posthaste resume {hop}" in text


def test_a_site_without_mail_is_told_by_name_and_can_be_suspended(operator: Operator) -> None:
    store, site = operator.store, "mx:mx.a.test@world"
    for hop in (site, "old"):
        store.accept(hops=(hop,))
    for each in store.claim().legs:
        given = settlement(each, Status.BOUNCED)
        store.settle(
            msgspec.structs.replace(given, refusal=f"554 5.7.1 not from you, {each.leg.hop}")
        )
    store.client.delete(*store.client.keys("ph:rate:*"))  # Minutes pass.
    names = [each["destination"] for each in operator.json("queue")["data"]]
    assert site not in names
    assert "old" in names
    for name in (site, "old"):
        text = operator.run("destinations", name).stdout
        assert text.startswith(f"{name}, class transactional: idle\n")
        assert f": 554 5.7.1 not from you, {name}\n" in text
    quiet = operator.run("suspend", "mx:mx.b.test@world")
    assert quiet.stdout.startswith("suspended mx:mx.b.test@world until")
    assert "mx:mx.b.test@world has no mail now; it shows in `queue` all the same" in quiet.stdout
    assert "suspended" in operator.run("destinations", "mx:mx.b.test@world").stdout
    assert operator.run("resume", "mx:mx.b.test@world").exit_code == 0
    for wrong in ("mx:mx.a.test@nix", "mx:?@world/", "mx:UP", "mx:"):
        assert "there is no destination" in operator.refused("suspend", wrong)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("limit", "set", "old"), "Say at least one of --per-second, --concurrency, --per-minute"),
        (("limit", "set", "old", "--per-second", "-1", "--per-day", "-2", "--reason", "a\x1b"),
         "--per-second: A number from 0.001"),
        (("limit", "set", "old", "--per-second", "nan"), "--per-second: A number from 0.001"),
        (("limit", "set", "old", "--per-day", "1", "--for", "367d"), "--for: 1 to 31622400 s"),
        (("limit", "set", "typo", "--per-day", "1"), "typo: There are limits of old, new"),
        (("limit", "show", "@typo"), "No such route has hops of its own"),
        (("limit", "clear", "pool:x"), "There are limits of old"),
        (("move", "typo", "--to", "new"), "there is no destination typo"),
        (("move", "old", "--to", "old"), "--to: One of new, mx:?@world, routes."),
        (("destinations", "typo"), "there is no destination typo"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_to_do(
    operator: Operator, arguments: tuple[str, ...], remedy: str
) -> None:
    assert remedy in operator.refused(*arguments)
    assert operator.store.operations.limits() == []
