"""P1 with a replica: a 202 waits for its disk, and after the primary's death nothing is missing.

So does the answer to a report, an unsubscription and a change of the suppression list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from shared.clock import ManualClock
from shared.errors import OutcomeUnknown
from shared.model.suppression import Suppression
from shared.settings import Settings
from shared.store.ports import Accepted, AcceptKind, Idempotency, Spool
from shared.store.redis_returns import RedisReturns
from shared.store.redis_spool import RedisSpool
from shared.store.redis_suppressions import RedisSuppressions
from shared.store.returns import Came, News, Returned
from shared.supervisor.ports import reserve
from tests.conftest import need_redis
from tests.support.redis_server import RedisServer
from tests.support.stores import MemoryTestStore, settings
from tests.support.system import poll

pytestmark = pytest.mark.usefixtures("redis_server")  # Skips where there is no server.


@contextmanager
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and a replica that follows it."""
    need_redis()
    ports = [reserve("127.0.0.1"), reserve("127.0.0.1")]
    primary, replica = (RedisServer(port=each.port).start() for each in ports)
    try:
        client = primary.client()
        client.config_set("repl-diskless-sync-delay", 0)  # There is only one to wait for.
        client.close()
        client = replica.client()
        client.replicaof("127.0.0.1", str(primary.port))
        poll(lambda: client.info("replication")["master_link_status"] == "up")
        client.close()
        yield primary, replica
    finally:
        primary.stop()
        replica.stop()
        for each in ports:
            each.release()


def waiting_for_one(server: RedisServer) -> Settings:
    found = settings(server.url)
    return msgspec.structs.replace(found, store=msgspec.structs.replace(found.store, replicas=1))


def accept_until(spool: Spool, stop: threading.Event, accepted: list[bytes], number: int) -> None:
    """Accept small batches, one after the other; what was answered `accepted` is noted."""
    maker = MemoryTestStore(settings(), ManualClock())
    maker.clock.advance(number)  # Each thread makes ids of its own.
    while not stop.is_set():
        for answer in spool.accept([maker.submission() for _ in range(5)]):
            if isinstance(answer, Accepted):
                assert answer.kind is AcceptKind.ACCEPTED
                accepted.append(answer.message_id)
            else:
                return  # The primary is dead.


def test_what_was_accepted_survives_the_primary() -> None:
    with pair() as (primary, replica):
        spool = RedisSpool(waiting_for_one(primary), connections=8)
        stop, accepted = threading.Event(), list[bytes]()
        threads = [
            threading.Thread(target=accept_until, args=(spool, stop, accepted, number))
            for number in range(4)
        ]
        for each in threads:
            each.start()
        try:
            poll(lambda: len(accepted) > 200)
            primary.kill()
            for each in threads:
                each.join(10)
        finally:
            stop.set()
            spool.close()
        client = replica.client()
        client.replicaof("NO", "ONE")
        client.close()
        promoted = RedisSpool(settings(replica.url))
        assert len(set(accepted)) == len(accepted) > 200
        assert [each for each in accepted if promoted.get(each) is None] == []
        depth = promoted.depth()
        assert depth.accepted["transactional"] >= len(accepted)
        assert depth.accepted["transactional"] == depth.by_status["transactional"]["queued"]
        promoted.close()


def test_a_replica_that_is_late_or_gone_is_not_waited_for_in_vain() -> None:
    with pair() as (primary, replica):
        spool = RedisSpool(waiting_for_one(primary))
        maker = MemoryTestStore(settings(), ManualClock())
        (answer,) = spool.accept([maker.submission()])
        assert isinstance(answer, Accepted)
        assert "store_replicas" not in spool.health().reasons
        replica.stall()
        began = time.monotonic()
        (late,) = spool.accept([maker.submission()])
        assert isinstance(late, OutcomeUnknown)
        assert time.monotonic() - began < settings().store.timeout_seconds
        replica.resume()
        poll(lambda: isinstance(spool.accept([maker.submission()])[0], Accepted))
        replica.kill()
        poll(lambda: "store_replicas" in spool.health().reasons)
        (alone,) = spool.accept([maker.submission()])
        assert isinstance(alone, OutcomeUnknown)
        spool.close()


def test_a_primary_that_has_forgotten_its_scripts_is_taught_again() -> None:
    with pair() as (primary, _):
        spool = RedisSpool(waiting_for_one(primary), connections=1)
        maker = MemoryTestStore(settings(), ManualClock())
        client = primary.client()
        for _ in range(3):
            client.script_flush()
            (answer,) = spool.accept([maker.submission()])
            assert isinstance(answer, Accepted)
            assert spool.get(answer.message_id) is not None
        client.close()
        spool.close()


def test_what_is_told_once_or_twice_waits_for_the_replica() -> None:
    with pair() as (primary, replica):
        given = waiting_for_one(primary)
        store = msgspec.structs.replace(given.store, timeout_seconds=0.5)
        quick = msgspec.structs.replace(given, store=store)
        entry = Suppression("a@example.test", "app", "news", "unsubscribe")
        news = News(
            "unsubscribed", b"", b"", "app", "bulk", "other", b"\x80", suppressions=(entry,)
        )
        key = Idempotency(b"k" * 16, b"f" * 16)
        submission = MemoryTestStore(settings(), ManualClock()).submission(idempotency=key)
        replica.stall()
        for _ in range(2):  # The second time nothing is new, and it comes to another process.
            spool, returns = RedisSpool(quick), RedisReturns(quick)
            (answer,) = spool.accept([submission])
            assert isinstance(answer, OutcomeUnknown)
            with pytest.raises(OutcomeUnknown):
                returns.news(news)
            returns.close()
            spool.close()
        spool, returns, suppressions = (
            RedisSpool(given),
            RedisReturns(given),
            RedisSuppressions(given),
        )
        with pytest.raises(OutcomeUnknown):
            returns.keep(Returned("m1", 1, "no_report", "", "abuse@example.test", "", 9), 5)
        late = RedisSuppressions(quick)
        with pytest.raises(OutcomeUnknown):
            late.add([Suppression("b@example.test")])
        late.close()
        replica.resume()
        (answer,) = spool.accept([submission])
        assert isinstance(answer, Accepted)
        assert answer.kind is AcceptKind.REPLAYED
        assert returns.news(news) is Came.REPEATED
        assert suppressions.add([Suppression("b@example.test")]) == [False]
        for each in (spool, returns, suppressions):
            each.close()
