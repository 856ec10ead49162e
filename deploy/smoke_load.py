"""The client of smoke.sh: sends mail over TLS while things are killed, then accounts for all of it.

Takes the URL, a CA file and the API key (in POSTHASTE_SMOKE_KEY); sends until FILE exists. A
request without a 202 is repeated with its Idempotency-Key, as a client should. Then every accepted
id is asked for until it is delivered. Prints one line of figures; exit code 1 when mail is lost.
Needs the standard library only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENTS = 4
PAUSE_SECONDS = 0.1


class Client:
    """One connection that is opened again when it breaks."""

    def __init__(self, url: str, ca_file: str, key: str) -> None:
        self._at = urlsplit(url)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and body; status 0 when there was no answer."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._at.hostname or "", self._at.port, timeout=15, context=self._context
                )
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, self._headers | headers)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, None


class Load:
    """What was sent, and what became of it."""

    def __init__(self, arguments: argparse.Namespace, key: str) -> None:
        self._arguments = arguments
        self._key = key
        self._lock = threading.Lock()
        self._end = time.monotonic() + arguments.seconds
        self.accepted: list[str] = []
        self.repeated = 0
        self.unanswered = 0

    def client(self) -> Client:
        """A new one."""
        return Client(self._arguments.url, self._arguments.ca, self._key)

    def send(self) -> None:
        """One client's part."""
        client = self.client()
        while time.monotonic() < self._end and not Path(self._arguments.until).exists():
            identifier = self._one(client)
            with self._lock:
                if identifier:
                    self.accepted.append(identifier)
                else:
                    self.unanswered += 1
            time.sleep(PAUSE_SECONDS)

    def _one(self, client: Client) -> str:
        """Send one message until it is accepted; its id, or nothing when time has run out."""
        key, give_up = uuid.uuid4().hex, time.monotonic() + self._arguments.patience
        message = {"from": "smoke@example.test", "to": "inbox@example.test",
                   "subject": f"smoke {key}", "text": "Is anything lost?"}  # fmt: skip
        while time.monotonic() < give_up:
            status, body = client.ask("POST", "/v1/messages", message, **{"Idempotency-Key": key})
            if status == 202:
                return str(body["id"])
            with self._lock:
                self.repeated += 1
            time.sleep(0.3)
        return ""

    def undelivered(self, seconds: float) -> list[str]:
        """The accepted ids that are not delivered after so many seconds at most."""
        client, open_ids, end = self.client(), list(self.accepted), time.monotonic() + seconds
        while open_ids and time.monotonic() < end:
            left = []
            for identifier in open_ids:
                status, body = client.ask("GET", f"/v1/messages/{identifier}")
                if status != 200 or {each["status"] for each in body["recipients"]} != {
                    "delivered"
                }:
                    left.append(identifier)
            open_ids = left
            if open_ids:
                time.sleep(0.5)
        return open_ids


def main() -> int:
    """The entry of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--until", required=True, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=90.0, help="send for this long at most")
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS", help="to repeat one request for"
    )
    parser.add_argument("--least", type=int, default=1, help="how many must have been accepted")
    parser.add_argument("--delivered-in", type=float, default=60.0, metavar="SECONDS")
    arguments = parser.parse_args()
    load = Load(arguments, os.environ["POSTHASTE_SMOKE_KEY"])
    threads = [threading.Thread(target=load.send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = load.undelivered(arguments.delivered_in)
    accepted = len(load.accepted)
    sys.stdout.write(
        f"accepted={accepted} delivered={accepted - len(lost)} lost={len(lost)}"
        f" repeated={load.repeated} unanswered={load.unanswered}\n"
    )
    for identifier in lost[:10]:
        sys.stdout.write(f"  not delivered: {identifier}\n")
    return 1 if lost or load.unanswered or accepted < arguments.least else 0


if __name__ == "__main__":
    sys.exit(main())
