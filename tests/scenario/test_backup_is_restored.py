"""deploy/redis/backup.sh on a server under load: what was accepted before it is in the copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.store.ports import Accepted
from shared.store.redis_spool import RedisSpool
from tests.support.redis_server import RedisServer
from tests.support.stores import MemoryTestStore, settings
from tests.support.system import poll

SCRIPT = Path(__file__).parents[2] / "deploy/redis/backup.sh"


def backup(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _command_line_client() -> None:
    if shutil.which("redis-cli") is None and shutil.which("valkey-cli") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-cli is not installed")
        pytest.skip("neither redis-cli nor valkey-cli is on PATH")


def test_a_copy_under_load_has_everything_that_was_accepted_before(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    server = own_redis_server
    spool = RedisSpool(settings(server.url), connections=2)
    maker = MemoryTestStore(settings(), ManualClock())
    stop, accepted = threading.Event(), list[bytes]()

    def accept() -> None:
        while not stop.is_set():
            for answer in spool.accept([maker.submission() for _ in range(20)]):
                assert isinstance(answer, Accepted)
                accepted.append(answer.message_id)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        poll(lambda: len(accepted) > 500)
        client = server.client()
        client.bgrewriteaof()  # A rewrite is under way, or just over, when the copy is asked for.
        before = list(accepted)
        done = backup(str(server.directory), str(tmp_path / "copy"), "-s", str(server.socket))
        assert (done.returncode, done.stderr) == (0, "")
        assert client.config_get("auto-aof-rewrite-percentage") == {
            "auto-aof-rewrite-percentage": "100"
        }
        client.close()
    finally:
        stop.set()
        thread.join(10)
        spool.close()
    server.stop()
    restored = RedisServer(directory=tmp_path / "copy").start()
    try:
        found = RedisSpool(settings(restored.url))
        assert [each for each in before if found.get(each) is None] == []
        depth = found.depth()
        assert depth.accepted["transactional"] == depth.by_status["transactional"]["queued"]
        found.close()
    finally:
        restored.stop()


def test_what_is_wrong_is_told(own_redis_server: RedisServer, tmp_path: Path) -> None:
    assert backup().returncode == 2
    wrong = backup(str(tmp_path), str(tmp_path / "copy"), "-s", str(own_redis_server.socket))
    assert (wrong.returncode, "is it the server's data directory?" in wrong.stderr) == (2, True)
    data = str(own_redis_server.directory)
    taken = backup(data, str(tmp_path), "-s", str(own_redis_server.socket))
    assert (taken.returncode, "choose another" in taken.stderr) == (2, True)
    away = backup(data, str(tmp_path / "copy"), "-s", str(tmp_path / "none"))
    assert (away.returncode, "did not answer" in away.stderr) == (1, True)
    assert not (tmp_path / "copy").exists()
