"""How the store is reached: connections that fail fast, and what their errors mean.

`SyncRedis` serves web and the command line, `AsyncRedis` a worker's loop; both run one command at
a time on a connection of a bounded pool, without hidden retries: a retried script could have been
applied. Every error leaves here as one of the `StoreError` family. A connection that met an error
is closed, so that a late reply is never taken for another command's.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from shared.errors import OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from shared.store.scripts import PREFIX, Script

Value = bytes | str | int | float


def _refusal(error: Exception) -> StoreError:
    """What an answer of the server means: it was reached and wrote nothing."""
    text = str(error).partition(", with args")[0]  # What follows are the command's values.
    if isinstance(error, (OutOfMemoryError, ReadOnlyError)) or "OOM" in text:
        return StoreFull("the store refuses writes")
    if "MISCONF" in text or "READONLY" in text:
        return StoreFull("the store cannot write")
    if isinstance(error, BusyLoadingError) or "LOADING" in text or "BUSY" in text:
        return StoreUnavailable("the store is loading")
    return StoreError(f"the store refused a command: {text[:200]}")


def _shut_out() -> StoreError:
    """The password is wrong, or there is none; nothing was done."""
    return StoreUnavailable(
        "the store does not let us in: see store.redis_url and store.redis_password_file"
    )


def _unconnected(error: BaseException) -> StoreError:
    """Why there is no connection; nothing was done. redis.asyncio hides some causes in another."""
    causes = (error, error.__cause__)
    if any(isinstance(each, AuthenticationError) for each in causes):
        return _shut_out()
    if any(isinstance(each, BusyLoadingError) for each in causes):
        return StoreUnavailable("the store is loading")
    return StoreUnavailable("the store cannot be reached")


def info(text: bytes) -> dict[str, str]:
    """The lines `name:value` of INFO."""
    pairs = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, colon, value in pairs if colon}


REPLICAS_SHARE = 0.8
"""Of the time for an answer, replicas get so much: what is late is told by the store itself."""

_ANSWERS = (ResponseError, BusyLoadingError)
_BROKEN = (RedisError, OSError, asyncio.TimeoutError)


class SyncRedis:
    """A bounded set of blocking connections; safe to use from many threads.

    Of redis-py only its connections: its pool took a fifth of the time of a command.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        timeout_seconds: float,
        connections: int = 32,
    ) -> None:
        # Typed as Any: redis-py leaves these methods of its pools without types.
        self._maker: Any = redis.ConnectionPool.from_url(
            url,
            password=password,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=min(1.0, timeout_seconds),
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._timeout = timeout_seconds
        self._idle: deque[Any] = deque()
        self._free = threading.BoundedSemaphore(connections)
        self._wait_ms = int(timeout_seconds * 1000 * REPLICAS_SHARE)

    def run(self, script: Script, arguments: Sequence[Value]) -> Any:
        """Run a script. Raises the `StoreError` family."""
        try:
            return self.command("EVALSHA", script.sha, 1, PREFIX, *arguments)
        except NoScriptError:
            return self.command("EVAL", script.text, 1, PREFIX, *arguments)

    def run_replicated(self, script: Script, arguments: Sequence[Value], replicas: int) -> Any:
        """Run a script, and wait until what it wrote is on the disks of so many replicas; 0: of
        the store only. So is all that was written before it: what a script finds done, nobody may
        be promised before the replicas have it either.

        Raises the `StoreError` family: `OutcomeUnknown` when they did not say so in time.
        """
        if replicas == 0:
            return self.run(script, arguments)
        # WAITAOF waits for what its own connection has written, and a repetition writes nothing.
        further = (("SET", f"{PREFIX}waited", b""), ("WAITAOF", 1, replicas, self._wait_ms))
        try:
            script_call = ("EVALSHA", script.sha, 1, PREFIX, *arguments)
            reply, _, acknowledged = self.commands([script_call, *further])
        except NoScriptError:
            script_call = ("EVAL", script.text, 1, PREFIX, *arguments)
            reply, _, acknowledged = self.commands([script_call, *further])
        if acknowledged[1] < replicas:
            raise OutcomeUnknown("too few replicas have it on disk")
        return reply

    def command(self, *parts: Value) -> Any:
        """Run one command. Raises the `StoreError` family; `NoScriptError` is let through."""
        return self.commands([parts])[0]

    def commands(self, many: Sequence[Sequence[Value]]) -> list[Any]:
        """Run several commands in one round trip, not atomically; the answers in order."""
        if not self._free.acquire(timeout=self._timeout):
            raise StoreUnavailable("the store cannot be reached")
        try:
            return self._exchange(self._connection(), many)
        finally:
            self._free.release()

    def _connection(self) -> Any:
        """One that is connected, and has nothing unread: neither an end nor a late reply."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._maker.make_connection()
        connected = False
        try:
            if not connection.is_connected or _readable(connection):
                connection.disconnect()
                connection.connect()
            connected = True
            return connection
        except _BROKEN as error:
            raise _unconnected(error) from error
        finally:
            if not connected:
                connection.disconnect()
                self._idle.append(connection)  # To be tried again: those that are made are counted.

    def _exchange(self, connection: Any, many: Sequence[Sequence[Value]]) -> list[Any]:
        answers: list[Any] = []
        whole = False
        try:
            data = [b"".join([_packed(parts) for parts in many])]
            connection.send_packed_command(data, check_health=False)
            for _ in many:
                answers.append(connection.read_response())
            whole = True
            return answers
        except (NoScriptError, *_ANSWERS) as error:
            whole = len(many) == 1  # Else answers to the other commands are still to come.
            if isinstance(error, NoScriptError):
                raise
            if answers:
                raise OutcomeUnknown("the store refused a later command") from error
            raise _refusal(error) from error
        except AuthenticationError as error:
            raise _shut_out() from error
        except _BROKEN as error:
            raise OutcomeUnknown("the store did not answer") from error
        finally:
            if not whole:
                connection.disconnect()
            self._idle.append(connection)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().disconnect()


def _readable(connection: Any) -> bool:
    """Whether there is something to read on an idle connection, its end included."""
    try:
        return bool(connection.can_read(0))
    except _BROKEN:
        return True


def _packed(parts: Sequence[Value]) -> bytes:
    """A command in RESP2; the client library's own packer takes three times as long."""
    out = [b"*%d\r\n" % len(parts)]
    for part in parts:
        if isinstance(part, str):
            data = part.encode()
        elif isinstance(part, bytes):
            data = part
        else:
            data = repr(part).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(out)


class AsyncRedis:
    """A bounded set of connections for one event loop.

    Of redis-py only its connections. Its time limit, `asyncio.wait_for`, can swallow a cancellation
    before Python 3.12: a worker that was told to stop ran on. That and its pool took a quarter of a
    command's time.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        timeout_seconds: float,
        connections: int = 8,
    ) -> None:
        self._timeout = timeout_seconds
        self._maker: Any = redis.asyncio.ConnectionPool.from_url(
            url,
            password=password,
            socket_timeout=None,
            socket_connect_timeout=min(1.0, timeout_seconds),
            protocol=2,
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(connections)

    async def run(self, script: Script, arguments: Sequence[Value]) -> Any:
        """Run a script. Raises the `StoreError` family."""
        try:
            return await self.command("EVALSHA", script.sha, 1, PREFIX, *arguments)
        except NoScriptError:
            return await self.command("EVAL", script.text, 1, PREFIX, *arguments)

    async def command(self, *parts: Value) -> Any:
        """Run one command. Raises the `StoreError` family; `NoScriptError` is let through."""
        async with self._free:
            return await self._exchange(await self._connection(), parts)

    async def _connection(self) -> Any:
        """One that is connected, and has nothing unread."""
        connection = self._idle.pop() if self._idle else self._maker.make_connection()
        if connection.is_connected and not await connection.can_read():
            return connection
        connected = False
        try:
            await connection.disconnect(nowait=True)
            async with asyncio.timeout(self._timeout):
                await connection.connect()
            connected = True
            return connection
        except _BROKEN as error:
            raise _unconnected(error) from error
        finally:
            if not connected:
                await connection.disconnect(nowait=True)

    async def _exchange(self, connection: Any, parts: Sequence[Value]) -> Any:
        answered = False
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send_packed_command(_packed(parts), check_health=False)
                reply = await connection.read_response(timeout=math.inf)
            answered = True
            return reply
        except NoScriptError:
            answered = True
            raise
        except _ANSWERS as error:
            answered = True
            raise _refusal(error) from error
        except AuthenticationError as error:
            raise _shut_out() from error
        except _BROKEN as error:
            raise OutcomeUnknown("the store did not answer") from error
        finally:
            if answered:
                self._idle.append(connection)
            else:  # Cancelled too: its reply must not meet the next command.
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)
