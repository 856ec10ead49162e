"""The load of a chaos run: every message sent again, with the same key, until it has its 202.

Threads with kept connections, some for single messages, some for batches. They send only as many
as `allow` lets them, so that the load lasts over the faults. A wrong answer is an oddity.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.bench.http_load import Connection
from tests.chaos.mail import Mail

SINGLES = 6
BATCHES = 2
BATCH_SIZES = (5, 20, 50, 200)
TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.2
GIVE_UP_SECONDS = 180.0
AGAIN_SHARE = 0.01
"""Share of the accepted messages that are sent once more: the key must give the same id."""


class Receipt(msgspec.Struct, frozen=True):
    """What a 202 said."""

    id: str
    message_id: str
    suppressed: frozenset[str]
    """Recipients who were on the suppression list."""


class Load:
    """`total` messages, numbered from 0."""

    def __init__(self, url: str, key: str, total: int, make: Callable[[int], Mail], seed: int):
        self._url = url
        self._key = key
        self._make = make
        self.total = total
        self._seed = seed
        self._next = self._allowed = 0
        self._stopping = False
        self._changed = threading.Condition()
        self.receipts: dict[int, Receipt] = {}
        self.began: dict[int, float] = {}
        """When a message was sent for the first time, monotonic."""
        self.oddities: list[str] = []
        self.repeats = 0
        """Requests sent again because nobody knew what had become of them."""
        self._threads = [
            threading.Thread(target=self._run, args=(at, at < BATCHES), daemon=True)
            for at in range(SINGLES + BATCHES)
        ]

    def start(self) -> None:
        """Begin; nothing goes before `allow`."""
        for thread in self._threads:
            thread.start()

    def allow(self, count: int) -> None:
        """Let so many more go."""
        with self._changed:
            self._allowed = min(self.total, self._allowed + count)
            self._changed.notify_all()

    def taken(self) -> int:
        """How many numbers have been taken to be sent."""
        return self._next

    def finish(self, seconds: float) -> None:
        """Let all go, and wait until every message has its 202, or for so long."""
        self.allow(self.total)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stopping = True

    def _take(self, most: int) -> range:
        """The next numbers; none when all are taken."""
        with self._changed:
            while self._next >= self._allowed and self._allowed < self.total:
                self._changed.wait(1.0)
            first = self._next
            self._next = min(self._allowed, first + most)
            return range(first, self._next)

    def _run(self, at: int, batch: bool) -> None:
        chance = random.Random(f"{self._seed}/load/{at}")
        client = _Client(self._url, self._key)
        while True:
            numbers = self._take(chance.choice(BATCH_SIZES) if batch else 1)
            if not numbers:
                break
            waiting = {number: self._make(number) for number in numbers}
            again = {n: mail for n, mail in waiting.items() if chance.random() < AGAIN_SHARE}
            self._send(client, waiting, batch)
            self._send(client, again, batch)
        client.close()

    def _send(self, client: _Client, waiting: dict[int, Mail], batch: bool) -> None:
        """Until each is accepted."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while waiting and not self._stopping:
            mails = list(waiting.values())
            for mail in mails:
                self.began.setdefault(mail.number, time.monotonic())
            try:
                answers = client.batch(mails) if batch else client.single(mails[0])
            except (OSError, ValueError):  # A connection that ended, a half answer.
                answers = None
            if answers is not None:
                for mail, answer in zip(mails, answers, strict=True):
                    if self._judge(mail, answer):
                        del waiting[mail.number]
            if waiting:
                self.repeats += 1
                if time.monotonic() > deadline:
                    break
                time.sleep(PAUSE_SECONDS)

    def _judge(self, mail: Mail, answer: dict[str, Any]) -> bool:
        """Whether a message is done with."""
        problem = answer.get("error")
        if problem is not None:
            if problem.get("status") == 503:
                return False
            self.oddities.append(f"message {mail.number} was refused: {problem}")
            return True
        suppressed = {
            each["address"] for each in answer["recipients"] if each["status"] == "suppressed"
        }
        receipt = Receipt(answer["id"], answer["message_id"], frozenset(suppressed))
        known = self.receipts.setdefault(mail.number, receipt)
        if known != receipt:
            self.oddities.append(f"message {mail.number} was accepted as {known} and {receipt}")
        return True


class _Client:
    """One kept connection, opened again when it has ended. Raises `OSError`, `ValueError`."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._head = (
            f" HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._connection: Connection | None = None

    def single(self, mail: Mail) -> list[dict[str, Any]]:
        """One message; its answer, or `error` with the problem."""
        status, body = self._post(
            "/v1/messages", mail.fields, f"Idempotency-Key: {mail.key}\r\n"
        )  # fmt: skip
        return [body if status == 202 else {"error": {**body, "status": status}}]

    def batch(self, mails: list[Mail]) -> list[dict[str, Any]]:
        """Several; an answer for each."""
        items = [{**mail.fields, "idempotency_key": mail.key} for mail in mails]
        status, body = self._post("/v1/messages/batch", {"messages": items})
        if status == 202:
            results: list[dict[str, Any]] = body["results"]
            return results
        return [{"error": {**body, "status": status}}] * len(mails)

    def _post(self, path: str, body: object, more: str = "") -> tuple[int, dict[str, Any]]:
        data = json.dumps(body).encode()
        text = f"POST {path}{self._head}{more}Content-Length: {len(data)}\r\n\r\n"
        try:
            if self._connection is None:
                self._connection = Connection(self._url, TIMEOUT_SECONDS)
            status, answer = self._connection.ask(text.encode() + data)
            found: dict[str, Any] = json.loads(answer)
        except (OSError, ValueError):
            self.close()
            raise
        return status, found

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
