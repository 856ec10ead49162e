"""Captured mail on disk: one .eml as received, one small .json with the envelope.

`add` writes the message before its envelope, both by rename, so that what is listed is whole. The
oldest go beyond `most`. Damaged or foreign files in the folder are left alone and not listed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from pathlib import Path

import msgspec

_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\Z")


class Captured(msgspec.Struct, frozen=True):
    """One captured message, without its bytes."""

    id: str
    sender: str
    """MAIL FROM."""
    recipients: tuple[str, ...]
    """RCPT TO, Bcc included."""
    received_ms: int
    size_bytes: int
    subject: str
    author: str
    """The From header, decoded."""


_decode = msgspec.json.Decoder(Captured).decode


class Mailbox:
    """The captured messages; safe to use from many threads."""

    def __init__(self, directory: Path, most: int) -> None:
        self._directory = directory
        self._most = most
        self._changed = threading.Condition()
        self._version = 0
        self._entries: OrderedDict[str, Captured] = OrderedDict()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(directory.glob("*.json")):
            try:
                entry = _decode(path.read_bytes())
            except (msgspec.DecodeError, OSError):
                continue
            if self._path(entry.id, "eml").is_file():
                self._entries[entry.id] = entry
        self._trim()

    def _path(self, identifier: str, kind: str) -> Path:
        return self._directory / f"{identifier}.{kind}"

    def add(
        self, message: bytes, sender: str, recipients: tuple[str, ...], subject: str, author: str
    ) -> Captured:
        """Keep a message. Raises `OSError` when the disk does not take it."""
        identifier = f"{time.time_ns():016x}-{secrets.token_hex(4)}"
        entry = Captured(
            identifier,
            sender,
            recipients,
            time.time_ns() // 1_000_000,
            len(message),
            subject[:500],
            author[:500],
        )
        self._write(self._path(identifier, "eml"), message)
        self._write(self._path(identifier, "json"), json.dumps(msgspec.to_builtins(entry)).encode())
        with self._changed:
            self._entries[identifier] = entry
            self._trim()
            self._notify()
        return entry

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        temporary = path.with_suffix(path.suffix + ".part")
        temporary.write_bytes(data)
        os.replace(temporary, path)

    def _trim(self) -> None:
        while len(self._entries) > self._most:
            identifier, _ = self._entries.popitem(last=False)
            self._unlink(identifier)

    def _unlink(self, identifier: str) -> None:
        for kind in ("json", "eml"):
            self._path(identifier, kind).unlink(missing_ok=True)

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def list(self, search: str = "", to: str = "") -> list[Captured]:
        """Newest first; `search` in subject, sender and recipients, `to` one whole recipient."""
        with self._changed:
            entries = list(reversed(self._entries.values()))
        needle, wanted = search.casefold(), to.casefold()
        return [
            entry
            for entry in entries
            if (not wanted or any(wanted == each.casefold() for each in entry.recipients))
            and (not needle or any(needle in text.casefold() for text in _texts(entry)))
        ]

    def get(self, identifier: str) -> tuple[Captured, bytes] | None:
        """A message and its bytes."""
        if not _ID.match(identifier):
            return None
        with self._changed:
            entry = self._entries.get(identifier)
        if entry is None:
            return None
        try:
            return entry, self._path(identifier, "eml").read_bytes()
        except OSError:
            return None

    def remove(self, identifier: str) -> bool:
        """Delete one message."""
        with self._changed:
            if self._entries.pop(identifier, None) is None:
                return False
            self._unlink(identifier)
            self._notify()
        return True

    def clear(self) -> None:
        """Delete every message."""
        with self._changed:
            for identifier in self._entries:
                self._unlink(identifier)
            self._entries.clear()
            self._notify()

    def version(self) -> int:
        """Changes with every change of the list."""
        with self._changed:
            return self._version

    def wait(self, version: int, seconds: float) -> int:
        """The version once it differs from `version`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, seconds)
            return self._version


def _texts(entry: Captured) -> tuple[str, ...]:
    return (entry.subject, entry.author, entry.sender, *entry.recipients)
