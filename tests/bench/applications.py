"""Ten applications on one relay of limited capacity, one of which sends a hundred times the mail.

    python -m tests.bench.run applications      # about a minute and a half

Nine send a message now and then, the tenth has sent a hundred times as much just before. Measured
is the time from the request to the receiver's 250 for the nine's messages, with and without the
tenth's, in turn. The relay takes about 200 ms for each message, so that what the tenth has sent
takes it longer than is measured.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from shared.api_keys import generate
from shared.clock import SystemClock
from shared.model.message import CLASSES
from shared.settings import Settings, StoreSettings
from shared.store.redis_keys import RedisKeys
from tests.bench.effort import QUICK, Effort
from tests.bench.figure import Figure, Peer
from tests.bench.http_load import Connection, Load, message, percentile, request
from tests.bench.sink import TimingSink
from tests.support.installation import installation

SETTINGS = """
[[relay]]
name = "slow"
host = "127.0.0.1"
port = {port}
connections = {connections}
dkim = "off"
"""
CONNECTIONS = 10
"""Of each of two workers; two are kept for class critical, so that 80 messages a second go."""
ANSWER_SECONDS = 0.2
OTHERS = 9
EACH_A_SECOND = 1.0
SECONDS = 15.0
QUICK_SECONDS = 6.0
BUSY_TIMES = 100
PER_BATCH = 500
MUST = 2.0
"""Times the p95 alone."""


def applications(effort: Effort) -> list[Figure]:
    """The others' p95, and how many times what it is alone."""
    seconds = QUICK_SECONDS if effort is QUICK else SECONDS
    alone, beside = list[float](), list[float]()
    with TimingSink(seconds=ANSWER_SECONDS) as sink:
        text = SETTINGS.format(port=sink.port, connections=CONNECTIONS)
        with installation("--web", "1", "--workers", "2", settings=text) as up:
            keys = _keys(up)
            numbers = _Numbers()
            _measured(up, sink, keys, numbers, 2.0)  # Connections and caches.
            for _ in range(effort.runs):
                alone.append(_p95(up, sink, keys, numbers, seconds))
                _fill(up, keys[0], numbers, round(BUSY_TIMES * EACH_A_SECOND * seconds))
                beside.append(_p95(up, sink, keys, numbers, seconds))
                assert numbers.last_busy not in sink.by_number(), "it was not busy all the time"
                sink.wait(numbers.last_busy, 10 * seconds)
    peer = Peer("without the tenth's mail", tuple(alone))
    return [
        Figure(f"nine applications beside one of {BUSY_TIMES} times the mail, p95", tuple(beside),
               "ms", "lower", must=MUST * peer.value, peers=(peer,)),
    ]  # fmt: skip


class _Numbers:
    """Numbers of messages, none twice."""

    def __init__(self) -> None:
        self._next = 0
        self._lock = threading.Lock()
        self.last_busy = 0

    def take(self, count: int = 1) -> range:
        """The next ones."""
        with self._lock:
            found = range(self._next, self._next + count)
            self._next += count
            return found


def _keys(up: dict[str, Any]) -> list[str]:
    """API keys: the busy application's, and the others'."""
    stored = RedisKeys(Settings(store=StoreSettings(redis_url=up["redis"])))
    found = []
    for number in range(1 + OTHERS):
        text, key = generate(f"app{number}", (), CLASSES, SystemClock(), ("send",))
        stored.add(key)
        found.append(text)
    stored.close()
    return found


def _fill(up: dict[str, Any], key: str, numbers: _Numbers, count: int) -> None:
    taken = numbers.take(count)
    mail = [message(number, 500) for number in taken]
    bodies = [{"messages": mail[at : at + PER_BATCH]} for at in range(0, count, PER_BATCH)]
    load = Load(
        up["http"], [request(up["http"], "/v1/messages/batch", key, each) for each in bodies], 1
    ).run()
    assert load.refused == 0, load.statuses
    numbers.last_busy = taken[-1]


def _p95(
    up: dict[str, Any], sink: TimingSink, keys: list[str], numbers: _Numbers, seconds: float
) -> float:
    return percentile(_measured(up, sink, keys, numbers, seconds), 0.95) * 1000


def _measured(
    up: dict[str, Any], sink: TimingSink, keys: list[str], numbers: _Numbers, seconds: float
) -> list[float]:
    """Seconds from each request to its message's 250."""
    began: dict[int, float] = {}

    def work(key: str) -> None:
        connection = Connection(up["http"])
        chance = random.Random(key)
        end = time.perf_counter() + seconds
        while True:
            pause = chance.expovariate(EACH_A_SECOND)
            if time.perf_counter() + pause > end:
                break
            time.sleep(pause)
            number = numbers.take()[0]
            data = request(up["http"], "/v1/messages", key, message(number, 500))
            began[number] = time.perf_counter()
            status, _ = connection.ask(data)
            assert status == 202, status
        connection.close()

    threads = [threading.Thread(target=work, args=(key,)) for key in keys[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [sink.wait(number) - at for number, at in began.items()]
