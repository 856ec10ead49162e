"""One stored head that cannot be read: the other mail is delivered, and no worker ends."""

from __future__ import annotations

import pytest

from shared.settings import Settings, StoreSettings
from shared.store.redis_operations import RedisOperations
from shared.store.scripts import PREFIX
from tests.support.system import System, message, poll, running


@pytest.mark.parametrize("kind", ["newer", "garbage", "missing"])
def test_damaged_head_stops_nobody(kind: str) -> None:
    with running("--workers", "2") as system:
        operations = RedisOperations(Settings(store=StoreSettings(redis_url=system.redis_url)))
        operations.suspend("relay", None, "")
        messages = [message(subject=f"n{number}") for number in range(10)]
        _, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": messages})
        ids = [result["id"] for result in body["results"]]
        pids = set(system.pids("worker"))
        _damage(system, ids[4], kind)
        operations.resume("relay")
        for identifier in ids[:4] + ids[5:]:
            system.wait_status(identifier, "delivered")
        later = system.send(subject="later")
        system.wait_status(later, "delivered")
        spool = system.spool()
        stored = poll(lambda: spool.get(bytes.fromhex(ids[4].removeprefix("msg_"))))
        spool.close()
        assert stored.head.subject == "(unreadable)"
        aside = operations.aside("dead", 10)
        if kind == "newer":
            assert aside == []
            assert system.ledger(ids[4]) == ["accepted"]
        else:
            (dead,) = aside
            assert (dead.leg.cause(), system.ledger(ids[4])) == (
                "unreadable",
                ["accepted", "attempt"],
            )
            assert operations.drop([dead.leg_id]) == [True]
        assert set(system.pids("worker")) == pids
        assert sorted(each.header("Subject") for each in system.server.messages) == [
            "later", *(f"n{number}" for number in range(10) if number != 4),
        ]  # fmt: skip
        operations.close()
        system.reconcile()


def _damage(system: System, identifier: str, kind: str) -> None:
    raw = bytes.fromhex(identifier.removeprefix("msg_"))
    key, client = f"{PREFIX}head:{raw[15]}", system.client()
    packed = client.hget(key, raw)
    assert isinstance(packed, bytes)
    if kind == "missing":
        client.hdel(key, raw)
    else:
        changed = b"\x02" + packed[1:] if kind == "newer" else packed[:1] + b"\xc1" + packed[2:]
        client.hset(key, raw, changed)
    client.close()
