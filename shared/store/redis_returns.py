"""What came back, on Redis or Valkey: late news, mail kept for a look, outcomes.

Takes and gives the values of `shared.store.returns`. What changes is one script, and waits for
`store.replicas` as an accept does: whoever has told us forgets it. Failures are the `StoreError`
family.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.clock import Clock, SystemClock
from shared.model.leg import pack_attempt
from shared.secret_files import redis_password_of
from shared.settings import Settings
from shared.store.connection import SyncRedis, Value
from shared.store.kept import bounded, pack_about, unpack_about
from shared.store.news import digest_of, field_of
from shared.store.outcomes import KEPT_DAYS, Outcomes, added
from shared.store.returns import MOST_KEPT_BYTES, Came, News, Returned
from shared.store.scripts import PREFIX, SCRIPTS
from shared.store.suppression_records import Adding, check_put
from shared.store.tickets import template

DAY_MS = 86_400_000
_CAME = {b"c": Came.CHANGED, b"n": Came.NOTED, b"r": Came.REPEATED}


class RedisReturns:
    """`shared.store.returns.Returns` on a server. With a `clock` the scripts use its time."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._redis = SyncRedis(
            settings.store.redis_url,
            password=redis_password_of(settings.store),
            timeout_seconds=max(2.0, settings.store.timeout_seconds),
            connections=settings.web.threads + 4,
        )
        self._template = template()

    def _run(self, name: str, *arguments: Value) -> Any:
        now = b"" if self._clock is None else self._clock.now_ms()
        given = [now, self._template, self._settings.worker.quantum, *arguments]
        replicas = self._settings.store.replicas
        return self._redis.run_replicated(SCRIPTS[name], given, replicas)

    def news(self, news: News) -> Came:
        """See the port."""
        answer = self._run(
            "news",
            news.kind,
            news.message_id,
            digest_of(news),
            self._settings.feedback.valid_days * DAY_MS,
            "" if news.recipient is None else news.recipient,
            b"" if news.attempt is None else pack_attempt(news.attempt),
            news.event,
            field_of(news),
            *Adding(news.suppressions).arguments(),
        )
        check_put(answer.decode())
        return _CAME[answer]

    def keep(self, mail: Returned, most: int) -> None:
        """See the port."""
        mail = bounded(mail)
        self._run("keep", mail.id, pack_about(mail), mail.content, most, MOST_KEPT_BYTES)

    def kept(self, limit: int) -> Sequence[Returned]:
        """See the port."""
        ids = self._redis.command("LRANGE", f"{PREFIX}kept", -limit, -1) if limit > 0 else []
        if not ids:
            return []
        return unpack_about(self._redis.command("HMGET", f"{PREFIX}kept:about", *reversed(ids)))

    def kept_count(self) -> int:
        """See the port."""
        return int(self._redis.command("LLEN", f"{PREFIX}kept"))

    def kept_one(self, identifier: str) -> Returned | None:
        """See the port."""
        about, content = self._redis.commands(
            [("HGET", f"{PREFIX}kept:{each}", identifier) for each in ("about", "content")]
        )
        found = unpack_about([about])
        return msgspec.structs.replace(found[0], content=content or b"") if found else None

    def drop_kept(self, identifier: str | None) -> int:
        """See the port."""
        count: int = self._run("discard", *(() if identifier is None else (identifier,)))
        return count

    def outcomes(self, days: int) -> Outcomes:
        """See the port."""
        today = (self._clock or SystemClock()).now_ms() // DAY_MS
        names = [f":{today - back}" for back in range(min(days, KEPT_DAYS))] if days else [""]
        answers = self._redis.commands([("HGETALL", f"{PREFIX}outcomes{name}") for name in names])
        return added(
            {
                field.decode(errors="replace"): int(count)
                for field, count in zip(flat[::2], flat[1::2], strict=True)
            }
            for flat in answers
        )

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
