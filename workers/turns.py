"""A line in which applications take turns, one item each; the items of one stay in order.

What one application has in hand must not stand before another's mail: who comes anew stands before
whoever has just had a turn. Pure: no clock, no store.
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
        self._served: str | None = None
        """Who has had the last turn: last in the line, if it is there."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return (item for line in self._lines.values() for item in line)

    def owners(self) -> Iterator[str]:
        """Whose items there are, in the order of their turns."""
        return iter(self._lines)

    def has(self, owner: str) -> bool:
        """Whether one of an owner's waits."""
        return owner in self._lines

    def append(self, item: T) -> None:
        """Behind its owner's others."""
        owner = self._whose(item)
        line = self._lines.get(owner)
        if line is None:
            self._lines[owner] = deque((item,))
            if self._served is not None and self._served != owner and self._served in self._lines:
                self._lines[self._served] = self._lines.pop(self._served)
        else:
            line.append(item)
        self._count += 1

    def appendleft(self, item: T) -> None:
        """Before all others: it is the next one."""
        owner = self._whose(item)
        line = self._lines.pop(owner, deque())
        line.appendleft(item)
        self._lines = {owner: line, **self._lines}
        if owner == self._served:
            self._served = None
        self._count += 1

    def popleft(self, owner: str | None = None) -> T:
        """The next one, or an owner's next one; whose next turn is behind everybody's then. Raises
        `StopIteration`, `KeyError`."""
        owner = self._served = next(iter(self._lines)) if owner is None else owner
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
