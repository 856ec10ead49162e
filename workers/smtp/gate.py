"""Who lets a pool set up another session: limits that hold over all workers, as a pool sees them.

A pool asks by `look` and is told by `granted`, `refused` and `give_up`; `Unlimited` grants all.
"""

from __future__ import annotations

from typing import Protocol

NO_SESSION = "no session was to be had"
"""The trouble of a transaction that never began, for a limit or a store that is away."""


class Asker(Protocol):
    """A pool, as the gate sees it."""

    @property
    def hop(self) -> str:
        """Where its sessions go."""
        ...

    @property
    def sessions(self) -> int:
        """Sessions that are open or being set up."""
        ...

    @property
    def urgent(self) -> bool:
        """Whether class critical waits, and there is no session to take it."""
        ...

    def wanted(self) -> int:
        """Sessions that it would set up now."""
        ...

    def granted(self, count: int) -> None:
        """Up to `count` sessions may be set up; what it makes no use of is another's."""
        ...

    def refused(self) -> None:
        """Some that it wants may not be set up, for now."""
        ...

    def give_up(self, idle: int, due: int) -> None:
        """Others wait: end `idle` sessions if they rest, `due` after the message they are at."""
        ...


class Gate(Protocol):
    """The limits."""

    @property
    def closing(self) -> bool:
        """Whether nobody should wait for a session any more."""
        ...

    def look(self, pool: Asker) -> None:
        """A pool wants sessions, or has another number of them."""
        ...


class Unlimited:
    """No limits but the pool's own."""

    closing = False

    def look(self, pool: Asker) -> None:
        """Grant what is wanted at once."""
        wanted = pool.wanted()
        if wanted:
            pool.granted(wanted)
