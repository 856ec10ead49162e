"""A store with a password: all connections sign in with that of the file, and nothing tells it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from shared import broker
from shared.config import load
from shared.errors import ConfigError, StoreUnavailable
from shared.services import connect
from shared.settings import Settings, StoreSettings
from shared.store.redis_queue import RedisQueue
from shared.store.redis_spool import RedisSpool
from tests.support.redis_server import RedisServer
from tests.support.roles import Role
from tests.support.smtp_server import SmtpServer
from tests.support.system import poll

ROOT = Path(__file__).parents[2]
PASSWORD = "s\\t o\"re'#$`pass"  # What a shell or the server's own file would read otherwise.


@pytest.fixture
def server(own_redis_server: RedisServer) -> RedisServer:
    """A server that lets nobody in without the password."""
    own_redis_server.client().config_set("requirepass", PASSWORD)
    return own_redis_server


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The file with the password."""
    path = tmp_path / "store-password"
    path.write_text(PASSWORD + "\nnot this\n")
    path.chmod(0o600)
    return path


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A `posthaste` command."""
    return subprocess.run(
        [sys.executable, "-m", "shared.cli.main", *words],
        env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_every_role_and_command_signs_in(server: RedisServer, secret: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = {
        "POSTHASTE_STORE_REDIS_URL": server.url,
        "POSTHASTE_STORE_REDIS_PASSWORD_FILE": str(secret),
        "POSTHASTE_LOG_LEVEL": "debug",
    }
    with SmtpServer() as smtp, ExitStack() as stack:
        settings["POSTHASTE_RELAY_URL"] = f"smtp://127.0.0.1:{smtp.port}"
        roles = {name: Role(name, server.url, log, **settings) for name in ("web", "worker")}
        roles["exporter"] = Role("exporter", server.url, log, **settings)
        for role in roles.values():
            stack.callback(role.release)
            role.start()
        made = command("key", "create", "--app", "shop", **settings)
        assert made.returncode == 0, made.stderr
        sent = subprocess.run(
            [
                "curl", "-sS", "--fail", "--json",
                '{"from":"a@shop.test","to":"b@example.test","subject":"s","text":"t"}',
                "-H", f"Authorization: Bearer {made.stdout.strip()}",
                f"http://127.0.0.1:{roles['web'].port}/v1/messages",
            ],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        smtp.wait_for(1)
        for words in (("queue",), ("dead", "list"), ("doctor", "--offline", "--only", "store")):
            done = command(*words, **settings)
            assert done.returncode in (0, 1), done.stderr
            assert PASSWORD not in done.stdout + done.stderr
        assert f"{server.url} answers" in done.stdout
    assert PASSWORD not in log.read_text()


def test_without_it_or_with_another_it_is_told(
    server: RedisServer, secret: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("other\n")
    for given in ("", str(wrong)):
        spool = RedisSpool(settings_for(server, given))
        with pytest.raises(StoreUnavailable, match="does not let us in"):
            spool.health()
        spool.close()
        with pytest.raises(StoreUnavailable, match="does not let us in"):
            asyncio.run(pump(settings_for(server, given)))
        done = command(
            "queue", POSTHASTE_STORE_REDIS_URL=server.url, POSTHASTE_STORE_REDIS_PASSWORD_FILE=given
        )
        assert done.returncode == 2
        assert "store.redis_password_file" in done.stderr
    good = settings_for(server, str(secret))
    asyncio.run(pump(good))
    client = broker.connect(good).client
    assert client.ping()
    for told in (repr(good), str(good.store), repr(client), repr(client.connection_pool)):
        assert PASSWORD[:5] not in told
    client.close()
    client.connection_pool.disconnect()


async def pump(settings: Settings) -> None:
    """What a worker asks the store for."""
    queue = RedisQueue(settings)
    try:
        await queue.pump("w")
    finally:
        await queue.close()


def settings_for(server: RedisServer, file: str) -> Settings:
    """Settings for the server."""
    return Settings(store=StoreSettings(redis_url=server.url, redis_password_file=file))


def test_the_file_is_one_of_ours(tmp_path: Path, secret: Path) -> None:
    toml = tmp_path / "posthaste.toml"
    toml.write_text('[store]\nredis_password_file = "store-password"\n')
    assert load(toml, environment={}).store.redis_password_file == str(secret)
    for role in ("web", "worker", "exporter"):
        done = command(role, POSTHASTE_STORE_REDIS_PASSWORD_FILE=str(tmp_path / "gone"))
        assert done.returncode == 2
        assert "store.redis_password_file: cannot read" in done.stderr
    twice = StoreSettings(
        redis_url="redis://:url-pass@127.0.0.1:1/0", redis_password_file=str(secret)
    )
    with pytest.raises(ConfigError, match="not in both") as caught:
        connect(Settings(store=twice))
    assert "url-pass" not in str(caught.value) + repr(twice)
    secret.chmod(0o644)
    found = command(
        "doctor", "--offline", "--only", "files", POSTHASTE_STORE_REDIS_PASSWORD_FILE=str(secret)
    )
    assert "files.store.redis_password_file" in found.stdout
    assert "read by everybody" in found.stdout


@pytest.fixture
def start(tmp_path: Path, distribution_redis_server: RedisServer) -> list[str]:
    """deploy/redis/start.sh, with the server and the client of this machine in its container's."""
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        pytest.skip("no valkey-cli or redis-cli is installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(distribution_redis_server.binary)
    (tmp_path / "bin" / "valkey-cli").symlink_to(client)
    (tmp_path / "redis.conf").write_text(
        f'dir "{tmp_path}"\nport 0\nunixsocket {tmp_path}/socket\nsave ""\n'
    )
    return ["/bin/sh", str(ROOT / "deploy" / "redis" / "start.sh")]


@pytest.mark.parametrize("content", [PASSWORD + "\n", ""], ids=["given", "none"])
def test_the_container_of_the_store_demands_it_when_it_is_given(
    start: list[str], content: str, tmp_path: Path
) -> None:
    secret = tmp_path / "redis_password"
    secret.write_text(content)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(tmp_path),
        "REDIS_PASSWORD_FILE": str(secret),
    }  # fmt: skip
    with subprocess.Popen(
        [*start, str(tmp_path / "redis.conf")], env=environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            socket = tmp_path / "socket"
            poll(socket.exists)
            ask = [*start, "cli", "-s", str(socket), "ping"]
            done = subprocess.run(ask, env=environment, capture_output=True, text=True, timeout=20)
            assert (done.stdout.strip(), done.stderr) == ("PONG", "")
            with redis.Redis(unix_socket_path=str(socket)) as stranger:
                if content:
                    with pytest.raises(redis.AuthenticationError):
                        stranger.ping()
                    assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
                else:
                    assert stranger.ping()
        finally:
            process.kill()


def test_the_container_of_the_store_does_not_start_without_a_password_it_cannot_read(
    start: list[str], tmp_path: Path
) -> None:
    secret = tmp_path / "redis_password"
    secret.write_text("\n")
    for path in (secret, tmp_path):  # Without a first line; not a file.
        done = subprocess.run(
            [*start, str(tmp_path / "redis.conf")], capture_output=True, timeout=20,
            env={"PATH": os.environ["PATH"], "REDIS_PASSWORD_FILE": str(path)},
        )  # fmt: skip
        assert done.returncode != 0
