"""How the store is reached: connections that fail fast, and what their errors mean.

`SyncRedis` serves web and the command line, `AsyncRedis` a worker's loop; both run one command at
a time on a connection of a bounded pool, without hidden retries: a retried script could have been
applied. Every error leaves here as one of the `StoreError` family. A connection that met an error
is closed, so that a late reply is never taken for another command's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    MaxConnectionsError,
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
    text = str(error)
    if isinstance(error, (OutOfMemoryError, ReadOnlyError)) or "OOM" in text:
        return StoreFull("the store refuses writes")
    if "MISCONF" in text or "READONLY" in text:
        return StoreFull("the store cannot write")
    if isinstance(error, BusyLoadingError) or "LOADING" in text or "BUSY" in text:
        return StoreUnavailable("the store is loading")
    return StoreError(f"the store refused a command: {text[:200]}")


_ANSWERS = (ResponseError, BusyLoadingError)
_BROKEN = (RedisError, OSError, asyncio.TimeoutError)


class SyncRedis:
    """A bounded pool of blocking connections; safe to use from many threads."""

    def __init__(self, url: str, *, timeout_seconds: float, connections: int = 32) -> None:
        # Typed as Any: redis-py leaves these methods of its pools without types.
        self._pool: Any = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=min(1.0, timeout_seconds),
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )

    def run(self, script: Script, arguments: Sequence[Value]) -> Any:
        """Run a script. Raises the `StoreError` family."""
        try:
            return self.command("EVALSHA", script.sha, 1, PREFIX, *arguments)
        except NoScriptError:
            return self.command("EVAL", script.text, 1, PREFIX, *arguments)

    def command(self, *parts: Value) -> Any:
        """Run one command. Raises the `StoreError` family; `NoScriptError` is let through."""
        return self.commands([parts])[0]

    def commands(self, many: Sequence[Sequence[Value]]) -> list[Any]:
        """Run several commands in one round trip, not atomically; the answers in order."""
        try:
            connection = self._pool.get_connection()
        except BusyLoadingError as error:
            raise StoreUnavailable("the store is loading") from error
        except (*_BROKEN, MaxConnectionsError) as error:
            raise StoreUnavailable("the store cannot be reached") from error
        try:
            connection.send_packed_command(connection.pack_commands(many))
            return [connection.read_response() for _ in many]
        except NoScriptError:
            raise
        except _ANSWERS as error:
            if len(many) > 1:
                connection.disconnect()  # Answers to the other commands are still to come.
            raise _refusal(error) from error
        except _BROKEN as error:
            connection.disconnect()
            raise OutcomeUnknown("the store did not answer") from error
        finally:
            self._pool.release(connection)

    def close(self) -> None:
        """Close every connection."""
        self._pool.disconnect()


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
    """A bounded set of connections for one event loop."""

    def __init__(self, url: str, *, timeout_seconds: float, connections: int = 8) -> None:
        self._pool: Any = redis.asyncio.ConnectionPool.from_url(
            url,
            max_connections=connections,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=min(1.0, timeout_seconds),
            protocol=2,
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
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
            try:
                connection = await self._pool.get_connection()
            except BusyLoadingError as error:
                raise StoreUnavailable("the store is loading") from error
            except _BROKEN as error:
                raise StoreUnavailable("the store cannot be reached") from error
            return await self._exchange(connection, parts)

    async def _exchange(self, connection: Any, parts: Sequence[Value]) -> Any:
        answered = False
        try:
            await connection.send_packed_command(_packed(parts), check_health=False)
            reply = await connection.read_response()
            answered = True
            return reply
        except NoScriptError:
            answered = True
            raise
        except _ANSWERS as error:
            answered = True
            raise _refusal(error) from error
        except _BROKEN as error:
            raise OutcomeUnknown("the store did not answer") from error
        finally:
            if not answered:  # Cancelled too: its reply must not meet the next command.
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.disconnect()
