"""The in-memory twin of the store: the same ports and rules, nothing durable, no server."""

from __future__ import annotations

from shared.clock import Clock
from shared.model.message import MessageClass
from shared.settings import Settings
from shared.store.memory_operations import MemoryOperations
from shared.store.memory_queue import MemoryQueue
from shared.store.memory_recent import MemoryRecent, MemorySamples
from shared.store.memory_records import MemoryRecords
from shared.store.memory_returns import MemoryReturns
from shared.store.memory_sessions import MemorySessions
from shared.store.memory_spool import MemoryKeys, MemorySpool
from shared.store.memory_state import State
from shared.store.memory_suppressions import MemorySuppressions


class MemoryStore:
    """Both halves and the keys, on one state."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.state = State(settings, clock)
        self.spool = MemorySpool(self.state)
        self.queue = MemoryQueue(self.state)
        self.sessions = MemorySessions(self.state)
        self.operations = MemoryOperations(self.state, self.sessions)
        self.keys = MemoryKeys(self.state)
        self.suppressions = MemorySuppressions(self.state)
        self.returns = MemoryReturns(self.state)
        self.records = MemoryRecords(clock)
        self.recent = MemoryRecent(self.state)
        self.samples = MemorySamples(self.state)

    def tickets(self, message_class: MessageClass) -> list[str]:
        """The tickets that are outstanding."""
        return list(self.state.tickets[message_class])
