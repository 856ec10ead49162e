"""A line in which applications take turns, one item each; the items of one stay in order.

What one application has in hand must not stand before another's mail. Pure: no clock, no store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items by whose they are."""

    def __init__(self, whose: Callable[[T], str]) -> None:
        self._whose = whose
        self._lines: dict[str, deque[T]] = {}
        """None is empty; whose turn it is comes first."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return (item for line in self._lines.values() for item in line)

    def append(self, item: T) -> None:
        """Behind its owner's others."""
        self._lines.setdefault(self._whose(item), deque()).append(item)
        self._count += 1

    def appendleft(self, item: T) -> None:
        """Before all others: it is the next one."""
        owner = self._whose(item)
        line = self._lines.pop(owner, deque())
        line.appendleft(item)
        self._lines = {owner: line, **self._lines}
        self._count += 1

    def popleft(self) -> T:
        """The next one; its owner's next turn is behind everybody's. Raises `StopIteration`."""
        owner = next(iter(self._lines))
        line = self._lines.pop(owner)
        item = line.popleft()
        if line:
            self._lines[owner] = line
        self._count -= 1
        return item

    def remove(self, item: T) -> None:
        """Take one out, wherever it is. Raises `KeyError`, `ValueError`."""
        owner = self._whose(item)
        self._lines[owner].remove(item)
        if not self._lines[owner]:
            del self._lines[owner]
        self._count -= 1
