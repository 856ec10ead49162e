"""The receiver of a chaos run, a process of its own: takes mail on two ports, at its whim.

    python -m tests.chaos.receiver --copies FILE --control SOCKET --seed 1

Prints its ports as one line of JSON. It notes every copy (`tests.chaos.copies.Copy`) at the moment
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

from tests.chaos.copies import Copy, Pair
from tests.chaos.whims import Session, Whims

BACKLOG = 512


class Records:
    """Every copy, in order, with the session it came by; what else was noticed."""

    def __init__(self, path: Path) -> None:
        self.copies: list[tuple[Copy, Session]] = []
        self.sessions: list[Session] = []
        """By their numbers; ports are used again."""
        self.oddities: list[str] = []
        self.moods: Counter[str] = Counter()
        self._seen: Counter[Pair] = Counter()
        self._file = path.open("wb")

    def enter(self, session: Session) -> int:
        """One more session; its number."""
        self.sessions.append(session)
        return len(self.sessions) - 1

    def accept(self, copy: Copy, session: Session) -> None:
        """One more copy."""
        self._seen[copy.pair] += 1
        copy = msgspec.structs.replace(copy, nth=self._seen[copy.pair])
        self.copies.append((copy, session))
        self._file.write(msgspec.json.encode(copy) + b"\n")

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

    def __init__(self, records: Records, whims: Whims) -> None:
        self._records = records
        self._whims = whims

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the run hangs up."""
        while line := await reader.readline():
            asked = json.loads(line)
            answer = getattr(self, "_" + asked.pop("what"))(**asked)
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    def _copies(self, since: float, sessions: list[int] | None) -> list[Copy]:
        """Those of these sessions, and of sessions that have ended."""
        wanted = None if sessions is None else set(sessions)
        return [
            copy
            for copy, session in self._records.since(since)
            if wanted is None or session.closed or session.number in wanted
        ]

    def _sessions(self, ports: list[int]) -> list[int]:
        """The sessions from these ports that are open now."""
        wanted = set(ports)
        return [
            each.number
            for each in self._records.sessions
            if not each.closed and each.port in wanted
        ]

    def _received(self, sessions: list[int]) -> list[int]:
        """How many bytes have come by each of these sessions that is still open."""
        found = [self._records.sessions[number] for number in sessions]
        return [each.received for each in found if not each.closed]

    def _count(self) -> int:
        return len(self._records.copies)

    def _calm(self) -> bool:
        """No more faults from now on."""
        self._whims.calm = True
        return True

    def _summary(self) -> dict[str, Any]:
        self._records.flush()
        return {
            "copies": len(self._records.copies),
            "oddities": self._records.oddities,
            "moods": self._records.moods,
        }


async def _serve(arguments: argparse.Namespace) -> None:
    records, whims = Records(arguments.copies), Whims(arguments.seed)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Session(records, whims), "127.0.0.1", 0, backlog=BACKLOG)
        for _ in range(2)
    ]
    control = Control(records, whims)
    await asyncio.start_unix_server(control.serve, arguments.control, limit=2**20)
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    sys.stdout.write(json.dumps(ports) + "\n")
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
