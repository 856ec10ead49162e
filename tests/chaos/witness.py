"""The receiver as the run sees it: started, asked, ended."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from tests.chaos.came_back import Told
from tests.chaos.copies import Copy, End
from tests.chaos.places import Door
from tests.chaos.post import Place

START_SECONDS = 20.0
ANSWER_SECONDS = 60.0

_decode_copies = msgspec.json.Decoder(list[Copy]).decode
_decode_told = msgspec.json.Decoder(list[Told]).decode
_decode_doors = msgspec.json.Decoder(dict[str, Door]).decode


class Witness:
    """A context manager around the receiver's process; safe to ask from several threads."""

    def __init__(self, seed: int, copies: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ph-chaos-")
        self._control = str(Path(self._folder.name) / "control")
        self._command = [
            sys.executable, "-m", "tests.chaos.receiver", "--seed", str(seed),
            "--copies", str(copies), "--control", self._control,
        ]  # fmt: skip
        self._lock = threading.Lock()
        self.doors: dict[str, Door] = {}

    def __enter__(self) -> Witness:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self._end()
            raise AssertionError("the receiver does not start")
        self.doors = _decode_doors(line)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(self._control)
        self._answers: IO[bytes] = self._socket.makefile("rb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answers.close()
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._folder.cleanup()

    def _ask(self, what: str, **more: Any) -> bytes:
        with self._lock:
            self._socket.sendall(json.dumps({"what": what, **more}).encode() + b"\n")
            return self._answers.readline()

    def copies(self, since: float = 0.0, sessions: list[int] | None = None) -> list[Copy]:
        """Copies accepted since a time (monotonic): all, or those of these sessions and of
        sessions that have ended."""
        return _decode_copies(self._ask("copies", since=since, sessions=sessions))

    @property
    def ports(self) -> set[int]:
        """Those of all doors."""
        return {door.port for door in self.doors.values()}

    def sessions(self, ends: list[End]) -> list[int]:
        """The sessions of these connections that are open now."""
        found: list[int] = json.loads(self._ask("sessions", ends=ends))
        return found

    def received(self, sessions: list[int]) -> list[int]:
        """The bytes received by each of these sessions that is still open."""
        found: list[int] = json.loads(self._ask("received", sessions=sessions))
        return found

    def count(self) -> int:
        """How many copies there are."""
        return int(self._ask("count"))

    def open(self, door: str) -> None:
        """All is well at a door again."""
        self._ask("open", door=door)

    def refuse(self, door: str) -> int:
        """Nobody is at a door any more; how many sessions end by it."""
        return int(self._ask("refuse", door=door))

    def close(self, door: str) -> None:
        """421 for everybody at a door."""
        self._ask("close", door=door)

    def send_back(self, bounces: Place, web: Place) -> None:
        """Where bounces and complaints, and clicks on unsubscribe, are to be sent."""
        self._ask("return", bounces=bounces, web=web)

    def sending_back(self) -> int:
        """How much of what is sent back is not taken yet."""
        return int(self._ask("returning"))

    def sent_back(self) -> list[Told]:
        """What was taken."""
        return _decode_told(self._ask("returned"))

    def calm(self) -> None:
        """No more faults from now on."""
        self._ask("calm")

    def summary(self) -> dict[str, Any]:
        """How many copies, what was odd, which moods there were; the file is in order then."""
        found: dict[str, Any] = json.loads(self._ask("summary"))
        return found
