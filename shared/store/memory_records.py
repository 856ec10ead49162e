"""The in-memory twin of the records: `shared.store.records` says what holds."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

import msgspec

from shared.clock import Clock
from shared.store.records import ANY, ENTRY_ID, MOST_AUDITED, MOST_CHANGES, Audited, Change


class MemoryRecords:
    """`shared.store.records.Records` in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: dict[str, dict[bytes, tuple[bytes, int | None]]] = {}
        self._trail: list[Audited] = []
        self._counter = 0
        self._one = threading.Lock()

    def get(self, kind: str, key: bytes) -> bytes | None:
        """See the port."""
        found = self._kinds.get(kind, {}).get(key)
        if found is None or (found[1] is not None and found[1] <= self._clock.now_ms()):
            return None
        return found[0]

    def some(self, kind: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See the port."""
        return [self.get(kind, key) for key in keys]

    def all(self, kind: str) -> dict[bytes, bytes]:
        """See the port."""
        found = {key: self.get(kind, key) for key in self._kinds.get(kind, {})}
        return {key: value for key, value in found.items() if value is not None}

    def write(self, changes: Sequence[Change], audited: Sequence[Audited] = ()) -> bool:
        """See the port."""
        if len(changes) > MOST_CHANGES:
            raise ValueError(f"{len(changes)} changes; at most {MOST_CHANGES}")
        with self._one:
            return self._write(changes, audited)

    def _write(self, changes: Sequence[Change], audited: Sequence[Audited]) -> bool:
        for change in changes:
            if change.expected is not ANY and self.get(change.kind, change.key) != change.expected:
                return False
        for change in changes:
            kind = self._kinds.setdefault(change.kind, {})
            if change.value is None:
                kind.pop(change.key, None)
            else:
                kind[change.key] = (change.value, change.ends_ms)
        for entry in audited:
            self._counter += 1
            now = self._clock.now_ms()
            self._trail.append(
                msgspec.structs.replace(entry, id=f"{now}-{self._counter}", at_ms=now)
            )
        del self._trail[:-MOST_AUDITED]
        return True

    def trail(self, before: str = "", limit: int = 100) -> list[Audited]:
        """See the port."""
        found = list(reversed(self._trail))
        if before:
            end = _order(before)
            found = [entry for entry in found if _order(entry.id) < end]
        return found[:limit]


def _order(text: str) -> tuple[int, ...]:
    """What entries are sorted by; what is no id is before all."""
    return tuple(map(int, text.split("-"))) if re.fullmatch(ENTRY_ID, text) else ()
