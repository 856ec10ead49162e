"""What the tiers are given: settings, a clock and the store's ports, connected once a process."""

from __future__ import annotations

import msgspec

from shared.clock import Clock, SystemClock
from shared.settings import Settings
from shared.store.keys import Keys
from shared.store.operations import Operations
from shared.store.ports import Spool
from shared.store.recent import Recent
from shared.store.records import Records
from shared.store.redis_keys import RedisKeys
from shared.store.redis_operations import RedisOperations
from shared.store.redis_recent import RedisRecent
from shared.store.redis_records import RedisRecords
from shared.store.redis_returns import RedisReturns
from shared.store.redis_samples import RedisSamples
from shared.store.redis_spool import RedisSpool
from shared.store.redis_suppressions import RedisSuppressions
from shared.store.returns import Returns
from shared.store.samples import Samples
from shared.store.suppressions import Suppressions


class Services(msgspec.Struct, frozen=True):
    """The outside world of the ingest tier."""

    settings: Settings
    clock: Clock
    spool: Spool
    keys: Keys
    operations: Operations
    suppressions: Suppressions
    returns: Returns
    records: Records
    recent: Recent
    samples: Samples


def connect(settings: Settings) -> Services:
    """Services on the configured store; nothing is contacted yet. Call it after a fork."""
    return Services(
        settings,
        SystemClock(),
        RedisSpool(settings),
        RedisKeys(settings),
        RedisOperations(settings),
        RedisSuppressions(settings),
        RedisReturns(settings),
        RedisRecords(settings),
        RedisRecent(settings),
        RedisSamples(settings),
    )
