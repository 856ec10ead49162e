"""How often somebody may try: five times at once, then after waits that double up to 15 minutes.

A try is counted before it is looked at, in one step over all processes, for each of its subjects:
the account, and the address it comes from. A browser that has signed in to the account before
counts by itself, so that nobody else's tries keep its owner out; waits end by themselves, and tries
that had to wait do not count. Each count has an end, so that they do not pile up.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Literal

import msgspec

from shared.clock import Clock
from shared.hosts import address
from shared.model.message import UnknownFormat, check_format
from shared.store.records import ANY, Change, Records

KIND = "throttles"
Act = Literal["sign_in", "second_step", "confirm", "reset", "mailed_code"]
ACTS: tuple[Act, ...] = ("sign_in", "second_step", "confirm", "reset", "mailed_code")
FREE = 5
_FIRST_WAIT_MS = 15_000
LONGEST_WAIT_MS = 15 * 60_000
_KEPT_MS = 3600_000
"""A count is forgotten so long after its last wait."""
_FORMAT = 1
_TRIES = 20


class _Count(msgspec.Struct, frozen=True, array_like=True):
    tries: int
    until_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Count).decode


def by_account(login: str) -> str:
    """A login's tries, whether somebody has it or not."""
    return f"account:{login}"


def by_device(login: str, digest: bytes) -> str:
    """Tries of a browser that has signed in to the account before."""
    return f"device:{login}:{digest.hex()}"


def by_network(text: str) -> str:
    """Tries from an IPv4 address, or from the /64 that one client has in IPv6."""
    found = address(text)
    if isinstance(found, ipaddress.IPv6Address):
        return f"network:{ipaddress.ip_network((found, 64), strict=False)}"
    return f"network:{text}"


class Throttle:
    """Counts of tries."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def take(self, act: Act, *subjects: str) -> int:
        """Count one try for all subjects; 0: it may be made; else for how many seconds not yet, and
        nothing is counted."""
        keys = [_key(act, subject) for subject in subjects]
        for _ in range(_TRIES):
            found = self._records.some(KIND, keys)
            now = self._clock.now_ms()
            wait_ms = max((_wait_ms(_count(each), now) for each in found), default=0)
            if wait_ms:
                return -(-wait_ms // 1000)
            pairs = zip(keys, found, strict=True)
            if self._records.write([_counted(key, each, now) for key, each in pairs]):
                return 0
        return 1  # Others try the same all the time: that is what it is for.

    def waiting(self, act: Act, *subjects: str) -> int:
        """The seconds that `take` would answer now; nothing is counted."""
        now = self._clock.now_ms()
        found = self._records.some(KIND, [_key(act, subject) for subject in subjects])
        return max((-(-_wait_ms(_count(each), now) // 1000) for each in found), default=0)

    def give_back(self, act: Act, *subjects: str) -> None:
        """Count one try less: it was right, which says nothing about others of that address."""
        for key in (_key(act, subject) for subject in subjects):
            for _ in range(_TRIES):
                found = self._records.get(KIND, key)
                count = _count(found)
                if found is None or count.tries < 1:
                    break
                less = _Count(count.tries - 1, 0)
                if self._records.write([_put(key, less, found, self._clock.now_ms())]):
                    break

    def forgets(self, act: Act, *subjects: str) -> list[Change]:
        """What forgets all tries of these: to be written with what was right."""
        return [Change(KIND, _key(act, subject), None, ANY) for subject in subjects]


def wait_after(tries: int) -> int:
    """For how many ms the next try waits after so many."""
    doubled = _FIRST_WAIT_MS << min(max(0, tries - FREE), 16)
    return 0 if tries < FREE else min(LONGEST_WAIT_MS, doubled)


def _key(act: Act, subject: str) -> bytes:
    """Of one length, whatever was typed."""
    text = f"{act}\0{subject}".encode(errors="replace")
    return hashlib.sha256(text).digest()[:16]


def _count(packed: bytes | None) -> _Count:
    if packed is None:
        return _Count(0, 0)
    try:
        check_format("throttle", packed, _FORMAT)
        return _decode(packed[1:])
    except (UnknownFormat, msgspec.MsgspecError):
        return _Count(FREE, 0)  # Of another release, or damaged: as after the free ones.


def _wait_ms(count: _Count, now_ms: int) -> int:
    """What is left of its wait. One that is longer than it was made: the clock was set back."""
    left = count.until_ms - now_ms
    return left if 0 < left <= wait_after(count.tries) else 0


def _counted(key: bytes, packed: bytes | None, now_ms: int) -> Change:
    tries = _count(packed).tries + 1
    wait = wait_after(tries)
    return _put(key, _Count(tries, now_ms + wait if wait else 0), packed, now_ms)


def _put(key: bytes, count: _Count, expected: bytes | None, now_ms: int) -> Change:
    packed = bytes((_FORMAT,)) + _encode(count)
    return Change(KIND, key, packed, expected, max(now_ms, count.until_ms) + _KEPT_MS)
