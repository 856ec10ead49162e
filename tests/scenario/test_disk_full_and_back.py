"""The store's disk is full: its server exits, and the way back is the one that doctor names.

On a small file system of its own (tmpfs), so it needs root and the right to mount.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client import generate_latest

from shared.clock import SystemClock
from shared.doctor.finding import Finding
from shared.doctor.patient import Options, Patient
from shared.doctor.run import examine
from shared.exporter import registry
from shared.services import connect
from shared.settings import Settings, StoreSettings
from tests.conftest import need_redis
from tests.support.redis_server import RedisServer
from tests.support.system import poll, samples_in

RESERVE_BYTES = 4_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """24 MB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: this takes root and CAP_SYS_ADMIN")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def diagnosis(settings: Settings) -> dict[str, Finding]:
    patient = Patient(settings, SystemClock(), Options(seconds=10.0))
    return {each.id: each for each in asyncio.run(examine(patient, ("store", "disk")))}


def fill(server: RedisServer) -> int:
    """Write until a write is not answered, or refused; how many were answered before."""
    client, answered = server.client(), 0
    value = os.urandom(100_000)
    try:
        for number in range(1000):
            client.set(f"key:{number}", value)
            answered = number + 1
    except redis.RedisError:
        pass
    client.close()
    return answered


def test_a_server_that_cannot_write_still_tells_its_numbers(small_disk: Path) -> None:
    """Without `always` it does not exit: it refuses every write, and PING."""
    need_redis()
    server = RedisServer(directory=small_disk).start()
    services = connect(Settings(store=StoreSettings(redis_url=server.url)))
    client = server.client()
    try:
        client.config_set("appendfsync", "everysec")
        assert fill(server) > 50
        poll(lambda: client.info("persistence")["aof_last_write_status"] == "err")
        told = samples_in(generate_latest(registry(services)).decode())
        assert (told["posthaste_store_up"], told["posthaste_store_aof_write_ok"]) == (1, 0)
        assert told['posthaste_refusing{reason="store_write_error"}'] == 1
    finally:
        client.close()
        server.stop()


def test_a_full_disk_ends_the_server_and_the_reserve_brings_it_back(small_disk: Path) -> None:
    need_redis()
    server = RedisServer(directory=small_disk).start()
    settings = Settings(
        store=StoreSettings(
            redis_url=server.url, data_dir=str(small_disk), disk_reserve_bytes=RESERVE_BYTES
        )
    )
    try:
        advice = diagnosis(settings)["disk.reserve"].remedy.partition(":")[0]
        subprocess.run(advice.split(), check=True)  # fallocate, as it stands there.
        assert (small_disk / "reserve").stat().st_size == RESERVE_BYTES
        answered = fill(server)
        assert server.process is not None
        server.process.wait(20)
        assert answered > 50
        found = diagnosis(settings)
        assert found["store.reachable"].severity == "error"
        assert "disk.store" in found["store.reachable"].remedy
        assert found["disk.store"].severity == "error"
        command = re.search(r"`(rm [^`]*reserve)`", found["disk.store"].remedy)
        assert command is not None, found["disk.store"].remedy
        subprocess.run(command[1].split(), check=True)
        server.start()
        client = server.client()
        assert client.dbsize() >= answered, "what was answered is there again"
        client.flushall()
        deadline = time.monotonic() + 20
        client.bgrewriteaof()
        while diagnosis(settings)["disk.store"].severity == "error":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert diagnosis(settings)["store.aof"].severity == "ok"
    finally:
        server.stop()
