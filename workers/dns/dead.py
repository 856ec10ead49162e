"""Addresses that could not be connected to, and for how long they are passed over. Pure state.

RFC 5321 section 4.5.4.1: a client should keep a list of hosts that it cannot reach, so that a dead
first choice does not cost every message a timeout. Nothing is given up by it: when all addresses of
a route are dead they are all tried, the one that comes back first before the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol, TypeVar

from shared.clock import Clock

FIRST_SECONDS = 30.0
LONGEST_SECONDS = 1800.0
"""The wait doubles with each failure, up to this."""
CAPACITY = 20_000
"""Addresses remembered; the one that failed longest ago is forgotten first."""


class HasAddress(Protocol):
    """What can be connected to."""

    @property
    def address(self) -> str:
        """Its address."""
        ...


T = TypeVar("T", bound=HasAddress)


class DeadHosts:
    """The memory of one process."""

    def __init__(self, clock: Clock, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._dead: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> when it may be tried again, and the wait that leads there."""

    def failed(self, address: str) -> None:
        """It could not be connected to. Those that fail together count once."""
        now = self._clock.monotonic()
        until, wait = self._dead.get(address, (now, 0.0))
        if now < until:
            return
        long_ago = now - until > LONGEST_SECONDS  # It has not been in use, or has worked since.
        wait = FIRST_SECONDS if long_ago or not wait else min(2 * wait, LONGEST_SECONDS)
        self._dead[address] = (now + wait, wait)
        self._dead.move_to_end(address)
        if len(self._dead) > self._capacity:
            self._dead.popitem(last=False)

    def worked(self, address: str) -> None:
        """It could be connected to."""
        self._dead.pop(address, None)

    def is_dead(self, address: str) -> bool:
        """Whether it is to be passed over."""
        return self._until(address) > self._clock.monotonic()

    def usable(self, targets: Iterable[T]) -> list[T]:
        """Those that are not dead, in their order; all of them when there are no others."""
        every = list(targets)
        alive = [each for each in every if not self.is_dead(each.address)]
        return alive or sorted(every, key=lambda each: self._until(each.address))

    def _until(self, address: str) -> float:
        found = self._dead.get(address)
        return found[0] if found is not None else 0.0
