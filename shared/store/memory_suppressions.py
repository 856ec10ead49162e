"""The suppression list in memory: `shared.store.suppressions.Suppressions`, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.model.suppression import Suppression, applies
from shared.store.memory_state import State
from shared.store.suppression_records import BATCH, checked_cursor, position_of
from shared.store.suppressions import Check, Page, Unsuppressed, bounded, foremost, gives_way


def _identity(entry: Suppression) -> tuple[str, str, str]:
    return (entry.address, entry.application, entry.list)


def _ended(entry: Suppression, now_ms: int) -> bool:
    return entry.expires_ms is not None and entry.expires_ms <= now_ms


def put(state: State, entry: Suppression) -> bool:
    """Put an entry on the list; whether it is new. The caller holds the lock."""
    is_new, changed = _put(state, entry)
    if changed:
        state.event("suppressed", b"", msgspec.msgpack.encode(bounded(entry)))
    return is_new


def _put(state: State, entry: Suppression) -> tuple[bool, bool]:
    """Whether it is new, and whether anything has changed."""
    entry = bounded(entry)
    there = state.suppressions.get(_identity(entry))
    if there is not None and _ended(there, state.now()):
        there = None
    changes = there is None or (there != entry and gives_way(there, entry))
    if changes:
        state.suppressions[_identity(entry)] = entry
    return there is None, changes


def is_listed(state: State, entry: Suppression) -> bool:
    """Whether one with its identity is on the list."""
    there = state.suppressions.get(_identity(entry))
    return there is not None and not _ended(there, state.now())


def standing(state: State, check: Check | None) -> dict[int, Suppression]:
    """The entries that stand in the way, by the index in `Head.recipients`."""
    found = {}
    for index, to in check.addressed().items() if check and state.suppressions else ():
        places = [
            (to.address, name, each) for name in ("", to.application) for each in ("", to.list)
        ]
        entries = [state.suppressions[place] for place in places if place in state.suppressions]
        entries = [entry for entry in entries if applies(entry, to, state.now())]
        if entries:
            found[index] = foremost(entries)
    return found


def sweep(state: State) -> None:
    """What has expired goes."""
    for place in [each for each, entry in state.suppressions.items() if _ended(entry, state.now())]:
        del state.suppressions[place]


class MemorySuppressions:
    """`shared.store.suppressions.Suppressions` in memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, entries: Sequence[Suppression], *, together: bool = False) -> list[bool]:
        """See the port."""
        with self._state.lock:
            if not together:
                return [put(self._state, each) for each in entries]
            found: list[bool] = []
            for at in range(0, len(entries), BATCH):
                came = [_put(self._state, each) for each in entries[at : at + BATCH]]
                found += [is_new for is_new, _ in came]
                changed = sum(changes for _, changes in came)
                if changed:
                    payload = msgspec.msgpack.encode({"suppressions": changed})
                    self._state.event("imported", b"", payload)
            return found

    def remove(self, address: str, application: str, list_name: str) -> bool:
        """See the port."""
        state = self._state
        with state.lock:
            entry = state.suppressions.pop((address, application, list_name), None)
            if entry is None or _ended(entry, state.now()):
                return False
            gone = Unsuppressed(address, application, list_name)
            state.event("unsuppressed", b"", msgspec.msgpack.encode(gone))
            return True

    def _live(self) -> list[Suppression]:
        now = self._state.now()
        return [each for each in self._state.suppressions.values() if not _ended(each, now)]

    def find(self, address: str) -> list[Suppression]:
        """See the port."""
        with self._state.lock:
            found = [each for each in self._live() if each.address == address]
        return sorted(found, key=_identity)

    def page(self, cursor: str, limit: int, application: str | None = None) -> Page:
        """See the port."""
        start = checked_cursor(cursor)
        with self._state.lock:
            live = self._live()
        wanted = [each for each in live if application in (None, each.application)]
        rest = sorted((position_of(each), each) for each in wanted if position_of(each) > start)
        page = rest[:limit]
        more = len(rest) > len(page)
        return Page(tuple(each for _, each in page), page[-1][0] if more else "")

    def count(self) -> int:
        """See the port."""
        return len(self._state.suppressions)
