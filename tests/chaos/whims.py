"""The receiver's side of an SMTP session, with faults at random: 4xx, 421, dropped, stalled.

A fault at the final dot comes before the copy is noted; a stall after it: the receiver has the
message then, and the client does not know yet.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Protocol

from tests.chaos.copies import Copy, End
from tests.chaos.letters import Letter, read
from tests.chaos.mail import number_of

STALL_SECONDS = (1.0, 8.0)
PAUSE_SHARE = 0.5
PAUSE_SECONDS = (0.002, 0.03)
"""Often the answer to a message takes a moment, as a server's fsync does."""
READ_SECONDS = 1.0
"""An answer has been read after so long: a reset before might take it away."""

MOODS = {
    "banner": {"later": 0.01, "closing": 0.01, "drop": 0.01, "stall": 0.005},
    "mail": {"later": 0.01, "closing": 0.005, "drop": 0.005, "stall": 0.003},
    "rcpt": {"later": 0.02, "closing": 0.003, "drop": 0.003, "stall": 0.002},
    "data": {"later": 0.005, "closing": 0.003, "drop": 0.003, "stall": 0.002},
    "message": {"later": 0.02, "closing": 0.01, "drop": 0.01, "stall": 0.01},
}
"""Stage -> mood -> how often."""

_REFUSALS = {"later": b"451 4.3.0 not now\r\n", "closing": b"421 4.3.2 closing\r\n"}
_EHLO = b"250-chaos\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
_END = b"\r\n.\r\n"


class Whims:
    """Moods by chance, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.calm = False
        self.closing: set[str] = set()
        """Doors where everybody is told 421."""

    def mood(self, stage: str) -> str:
        """later (4xx), closing (421), drop, stall or ok."""
        if self.calm:
            return "ok"
        dice = self._random.random()
        for mood, share in MOODS[stage].items():
            dice -= share
            if dice < 0:
                return mood
        return "ok"

    def stall_seconds(self) -> float:
        """How long a stall lasts."""
        return self._random.uniform(*STALL_SECONDS)

    def pause_seconds(self) -> float:
        """How long the ordinary answer to a message takes."""
        return self._random.uniform(*PAUSE_SECONDS) if self.coin(PAUSE_SHARE) else 0.0

    def coin(self, share: float = 0.5) -> bool:
        """True in `share` of all cases."""
        return self._random.random() < share


class Records(Protocol):
    """Where a session notes what it saw."""

    oddities: list[str]
    moods: Counter[str]

    def enter(self, session: Session) -> int:
        """A connection is there; its number."""
        ...

    def accept(self, copy: Copy, session: Session, letter: Letter) -> None:
        """A copy is accepted."""
        ...


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, records: Records, whims: Whims, door: str) -> None:
        self._records = records
        self._whims = whims
        self.door = door
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._seen = 0
        """How much of the buffer is known not to hold the end of the message."""
        self._replies: list[bytes] = []
        self._in_data = self._waiting = self._mail = self._leaving = False
        self._recipients: list[str] = []
        self._sender = ""
        self.end: End = (0, "", 0)
        self.number = self.received = 0
        self.closed = False
        self._accepted_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or not."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.end = (
            transport.get_extra_info("peername")[1], *transport.get_extra_info("sockname")
        )  # fmt: skip
        self.number = self._records.enter(self)
        self._answer("banner", b"220 chaos\r\n")
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was dropped."""
        self.closed = True

    def data_received(self, data: bytes) -> None:
        """Bytes of commands or of a message."""
        self.received += len(data)
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        while not self._waiting and not self.closed and self._step():
            pass
        if self._replies and not self.closed:
            self._transport.write(b"".join(self._replies))
        self._replies.clear()

    def _step(self) -> bool:
        """Take one command or one message; False when there is none yet."""
        end = _END if self._in_data else b"\r\n"
        found = self._buffer.find(end, self._seen)
        if found < 0:
            self._seen = max(0, len(self._buffer) - len(end))
            return False
        taken = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        self._seen = 0
        if self._in_data:
            self._message(taken)
        else:
            self._command(taken)
        return True

    # -- answers ----------------------------------------------------------------------------

    def _answer(self, stage: str, good: bytes) -> bool:
        """Answer as the mood is; whether the answer is (or will be) the good one."""
        is_closing = self.door in self._whims.closing and stage in ("banner", "mail")
        mood = "closing" if is_closing else self._whims.mood(stage)
        self._records.moods[f"{stage} {mood}"] += 1
        if mood == "stall":
            self._later(self._whims.stall_seconds(), good)
        elif mood == "ok":
            self._replies.append(good)
        elif mood == "drop":
            self._hang_up()
        else:
            self._replies.append(_REFUSALS[mood])
            if mood == "closing":
                self._hang_up(politely=True)
        return mood in ("ok", "stall")

    def _later(self, seconds: float, reply: bytes) -> None:
        self._waiting = True
        self._loop.call_later(seconds, self._go_on, reply)

    def _go_on(self, reply: bytes) -> None:
        self._waiting = False
        self._replies.append(reply)
        if self._leaving:
            self._hang_up(politely=True)
        self._advance()

    def go_away(self) -> None:
        """The server ends. An answer that is owed, or may not have been read yet, still comes."""
        if self._waiting:
            self._leaving = True
            return
        self.closed = True
        if time.monotonic() - self._accepted_at > READ_SECONDS:
            self._transport.abort()
        else:
            self._transport.write_eof()
            self._loop.call_later(READ_SECONDS, self._transport.abort)

    def _hang_up(self, *, politely: bool = False) -> None:
        """Close, with the replies so far; by a reset when it is not polite, half of the time."""
        if self._replies:
            self._transport.write(b"".join(self._replies))
            self._replies.clear()
        self.closed = True
        if politely or self._whims.coin():
            self._transport.close()
        else:
            self._transport.abort()

    # -- commands ---------------------------------------------------------------------------

    def _command(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"MAIL":
            self._recipients = []
            self._sender = _path_in(line)
            self._mail = self._answer("mail", b"250 2.1.0 Ok\r\n")
        elif word == b"RCPT":
            if not self._mail:
                self._replies.append(b"503 5.5.1 MAIL first\r\n")
            elif self._answer("rcpt", b"250 2.1.5 Ok\r\n"):
                self._recipients.append(_path_in(line))
        elif word == b"DATA":
            if not self._recipients:
                self._replies.append(b"503 5.5.1 no recipients\r\n")
            else:
                self._in_data = self._answer("data", b"354 go on\r\n")
        elif word == b"QUIT":
            self._replies.append(b"221 2.0.0 bye\r\n")
            self._hang_up(politely=True)
        elif word == b"EHLO":
            self._replies.append(_EHLO)
        else:
            self._mail, self._recipients = False, []
            self._replies.append(b"250 2.0.0 Ok\r\n")

    def _message(self, data: bytes) -> None:
        recipients, self._recipients = self._recipients, []
        self._in_data = self._mail = False
        mood = self._whims.mood("message")
        self._records.moods[f"message {mood}"] += 1
        if mood == "drop":
            self._hang_up()
        elif mood in _REFUSALS:
            self._replies.append(_REFUSALS[mood])
            if mood == "closing":
                self._hang_up(politely=True)
        else:
            self._accept(data, recipients)
            stalled = mood == "stall"
            seconds = self._whims.stall_seconds() if stalled else self._whims.pause_seconds()
            if seconds:
                self._later(seconds, b"250 2.0.0 Ok\r\n")
            else:
                self._replies.append(b"250 2.0.0 Ok\r\n")

    def _accept(self, data: bytes, recipients: list[str]) -> None:
        """Note a copy for each recipient: each has a transaction, and a return path, of his own."""
        letter = read(data)
        if letter is None:
            self._records.oddities.append(f"a message without its headers, for {recipients}")
            return
        if len(recipients) != 1 or self._sender != letter.return_path:
            self._records.oddities.append(
                f"message {letter.number} to {recipients} from {self._sender or '<>'},"
                f" its reference says {letter.return_path or 'nothing'}"
            )
        now = self._accepted_at = time.monotonic()
        for recipient in recipients:
            if number_of(recipient) != letter.number:
                self._records.oddities.append(f"message {letter.number} went to {recipient}")
            copy = Copy(
                letter.number, recipient, letter.message_id, now, self.number, letter.content,
                door=self.door, in_list=bool(letter.link),
            )  # fmt: skip
            self._records.accept(copy, self, letter)


def _path_in(line: bytes) -> str:
    """The address in a MAIL or RCPT command."""
    return line.partition(b"<")[2].partition(b">")[0].decode()
