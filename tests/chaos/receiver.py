"""The receiver of a chaos run, a process of its own: takes mail at many doors, at its whim.

    python -m tests.chaos.receiver --copies FILE --control SOCKET --seed 1

Prints its doors as one line of JSON. It notes every copy (`tests.chaos.copies.Copy`) at the moment
it decides to accept it, before it answers 250, in memory and in FILE. The control socket takes
JSON lines, see `Control`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.came_back import Told
from tests.chaos.copies import Copy, End, Pair
from tests.chaos.doors import Doors
from tests.chaos.fates import REPORTED, fate
from tests.chaos.letters import Letter
from tests.chaos.post import Place, Post
from tests.chaos.reports import report
from tests.chaos.whims import Session, Whims


class Records:
    """Every copy, in order, with the session it came by; what else was noticed; what comes back."""

    def __init__(self, path: Path, seed: int) -> None:
        self.copies: list[tuple[Copy, Session]] = []
        self.sessions: list[Session] = []
        """By their numbers; ends are used again."""
        self.oddities: list[str] = []
        self.moods: Counter[str] = Counter()
        self.post = Post(seed, self.oddities)
        self._seed = seed
        self._seen: Counter[Pair] = Counter()
        self._file = path.open("wb")

    def enter(self, session: Session) -> int:
        """One more session; its number."""
        self.sessions.append(session)
        return len(self.sessions) - 1

    def accept(self, copy: Copy, session: Session, letter: Letter) -> None:
        """One more copy; and what comes of it afterwards."""
        self._seen[copy.pair] += 1
        copy = msgspec.structs.replace(copy, nth=self._seen[copy.pair])
        self.copies.append((copy, session))
        self._file.write(msgspec.json.encode(copy) + b"\n")
        kind = fate(self._seed, copy.recipient, copy.in_list)
        if kind == "unsubscribed":
            self.post.click(copy.number, copy.recipient, letter.link)
        elif kind in REPORTED:
            back = report(kind, copy.recipient, letter.return_path, letter.header)
            self.post.send(copy.number, kind, copy.recipient, back)

    def flush(self) -> None:
        """Put the file in order."""
        self._file.flush()

    def since(self, at: float) -> list[tuple[Copy, Session]]:
        """The copies accepted from a time on."""
        found = []
        for entry in reversed(self.copies):
            if entry[0].at < at:
                break
            found.append(entry)
        return found


class Control:
    """What the run asks: one JSON object a line in, one out."""

    def __init__(self, records: Records, whims: Whims, doors: Doors) -> None:
        self._records = records
        self._whims = whims
        self._doors = doors

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the run hangs up."""
        while line := await reader.readline():
            asked = json.loads(line)
            answer = await getattr(self, "_" + asked.pop("what"))(**asked)
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    async def _copies(self, since: float, sessions: list[int] | None) -> list[Copy]:
        """Those of these sessions, and of sessions that have ended."""
        wanted = None if sessions is None else set(sessions)
        return [
            copy
            for copy, session in self._records.since(since)
            if wanted is None or session.closed or session.number in wanted
        ]

    async def _sessions(self, ends: list[End]) -> list[int]:
        """The sessions of these connections that are open now."""
        wanted = set(map(tuple, ends))
        return [
            each.number for each in self._records.sessions if not each.closed and each.end in wanted
        ]

    async def _received(self, sessions: list[int]) -> list[int]:
        """How many bytes have come by each of these sessions that is still open."""
        found = [self._records.sessions[number] for number in sessions]
        return [each.received for each in found if not each.closed]

    async def _count(self) -> int:
        return len(self._records.copies)

    async def _return(self, bounces: Place, web: Place) -> bool:
        """Where what comes back is to be sent."""
        post = self._records.post
        post.bounces, post.web = bounces, web
        return True

    async def _returning(self) -> int:
        """How much of what comes back is not taken yet."""
        return self._records.post.open

    async def _returned(self) -> list[Told]:
        """What was taken."""
        return self._records.post.told

    async def _calm(self) -> bool:
        """No more faults from now on."""
        self._whims.calm = True
        return True

    async def _open(self, door: str) -> bool:
        """All is well at a door."""
        self._whims.closing.discard(door)
        await self._doors.open(door)
        return True

    async def _refuse(self, door: str) -> int:
        """Nobody is there any more; how many sessions end by it."""
        self._doors.shut(door)
        gone = [e for e in self._records.sessions if e.door == door and not e.closed]
        for each in gone:
            each.go_away()
        return len(gone)

    async def _close(self, door: str) -> bool:
        """421 for everybody there."""
        self._whims.closing.add(door)
        return True

    async def _summary(self) -> dict[str, Any]:
        self._records.flush()
        return {
            "copies": len(self._records.copies),
            "oddities": self._records.oddities,
            "moods": self._records.moods,
            "doors": Counter(copy.door for copy, _ in self._records.copies),
        }


async def _serve(arguments: argparse.Namespace) -> None:
    records = Records(arguments.copies, arguments.seed)
    whims = Whims(arguments.seed)
    doors = Doors(lambda door: Session(records, whims, door))
    for name in doors.places:
        await doors.open(name)
    control = Control(records, whims, doors)
    await asyncio.start_unix_server(control.serve, arguments.control, limit=2**20)
    sys.stdout.buffer.write(msgspec.json.encode(doors.places) + b"\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=Path, required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--seed", type=int, required=True)
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        pass  # The run was ended from the terminal.
