"""The suppression list of a chaos run: entries put on it by the API before the load and amid it.

Each request is sent again until it is answered, as a client does; for every entry it is known when
it was asked for and when that was answered. At the end everything that is on the list is read.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import msgspec

from tests.chaos.ask import Asker
from tests.chaos.came_back import Listed
from tests.chaos.fates import LISTED, Entry, entry, fate
from tests.chaos.mail import Mail

AT_ONCE = 20
AHEAD = 60
"""Entries amid the load come so many messages before their own one, or after, by chance."""
PAGE = 500


class Listing:
    """Puts on the list what recipients' fates say."""

    def __init__(
        self, asker: Asker, total: int, make: Callable[[int], Mail], seed: int
    ) -> None:  # fmt: skip
        self._asker = asker
        self._total = total
        self._make = make
        self._seed = seed
        self.listed: list[Listed] = []
        self.oddities: list[str] = []

    def before(self) -> None:
        """All that is on the list before the load."""
        self._put([(n, e) for n, kind, e in self._planned() if kind == "before"])

    def amid(self, taken: Callable[[], int]) -> None:
        """The others, while numbers are taken to be sent; blocks until the last is on the list."""
        chance = random.Random(f"{self._seed}/listing")
        planned = [
            (max(0, min(n + chance.randint(-AHEAD, AHEAD), self._total)), n, e)
            for n, kind, e in self._planned()
            if kind == "meanwhile"
        ]
        planned.sort(key=lambda each: each[:2])
        while planned:
            now = taken()
            due = [(n, e) for at, n, e in planned if at <= now][:AT_ONCE]
            del planned[: len(due)]
            self._put(due)
            if not due:
                time.sleep(0.02)

    def start(self, taken: Callable[[], int]) -> threading.Thread:
        """The same, in a thread."""
        thread = threading.Thread(target=self._guarded, args=(taken,), daemon=True)
        thread.start()
        return thread

    def _guarded(self, taken: Callable[[], int]) -> None:
        try:
            self.amid(taken)
        except Exception as error:
            self.oddities.append(f"the list broke: {type(error).__name__}: {error}")

    def _planned(self) -> Iterator[tuple[int, str, Entry]]:
        for number in range(self._total):
            mail = self._make(number)
            for recipient in mail.recipients:
                kind = fate(self._seed, recipient, bool(mail.list))
                if kind in LISTED:
                    yield number, kind, entry(self._seed, recipient)

    def _put(self, some: list[tuple[int, Entry]]) -> None:
        for at in range(0, len(some), AT_ONCE):
            part = some[at : at + AT_ONCE]
            asked_at = time.monotonic()
            body = {"suppressions": [_asked(each) for _, each in part]}
            answer = self._asker.until(200, "POST", "/v1/suppressions", body)
            for result in answer["results"]:
                if "error" in result:
                    self.oddities.append(f"an entry was refused: {result}")
            now = time.monotonic()
            self.listed += [Listed(each, number, asked_at, now) for number, each in part]


def _asked(found: Entry) -> dict[str, str]:
    """An entry in a request; what is empty is left out."""
    return {name: value for name, value in msgspec.structs.asdict(found).items() if value}


def on_the_list(asker: Asker) -> list[Entry]:
    """Everything that is on it."""
    found: list[Entry] = []
    cursor = ""
    while True:
        more = f"&cursor={quote(cursor)}" if cursor else ""
        page = asker.until(200, "GET", f"/v1/suppressions?limit={PAGE}{more}")
        found += [
            Entry(each["address"], each["application"], each["list"] or "", each["reason"])
            for each in page["data"]
        ]
        cursor = page["next_cursor"]
        if not cursor:
            return found
