"""The suppression list's packed forms: entries in the store, and what the scripts are asked.

An address has a place of three bytes, by a hash without a key: the number of a hash
`suppressed:<n>`, and a field of it. All entries of all addresses at a place are one value: the
format byte 1, then the entries, each so, big-endian:

    H  length of what follows
    B  reason, an index in REASONS; 16: it expires. Beyond 31 it has another form, for releases to
       come (an address that is a keyed hash): this one leaves such an entry where it is
    6  at_ms                       6  expires_ms, if it does
    H  length, then the address    B  length, then the application     B  length, then the list
    B  length, then the source     B  length, then the detail

Address, application and list with their lengths are the entry's identity. `lua/parts/
suppressions.lua` reads and writes the same. Raises `UnknownFormat` for what cannot be read, and
`ValueError` for an application or a list of more than 255 bytes.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from shared.errors import StoreError
from shared.model.message import UnknownFormat, check_format
from shared.model.suppression import REASONS, Suppression
from shared.store.connection import Value
from shared.store.suppressions import Check, bounded

HASHES = 256
FIELDS = 4096
"""A million places: ten entries each where there are ten million, so that an entry costs little
beyond its own bytes, and what is read to find one and written to add one is half a kilobyte."""
FORMAT = 1
EMPTY = bytes((FORMAT,))
_EXPIRES = 16
_OTHER_FORM = 32
BATCH = 250
"""Entries of one script: about 5 ms where there are ten million."""
MOST_ASKED_BYTES = 32 * 1024
"""Of what one script is asked, for several messages: about 1,000 addresses, 3 ms where there are a
million entries."""

_CURSOR = re.compile(r"[0-9a-f]{2}0[0-9a-f]{3}(?:[0-9a-f]{16})?")

_H = struct.Struct(">H")
_encode = msgspec.msgpack.Encoder().encode


def place_of(address: str) -> bytes:
    """Where the entries of a canonical address are."""
    first, second, third = hashlib.blake2b(address.encode(), digest_size=3).digest()
    return bytes((first, second % 16, third))


def _short(text: str, what: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"{what} of more than 255 bytes")
    return bytes((len(data),)) + data


def part_of(application: str) -> bytes:
    """What the entries of an application have in them, among others. Empty: nothing is sure."""
    data = application.encode()
    return bytes((len(data),)) + data if 0 < len(data) < 256 else b""


def identity_of(address: str, application: str, list_name: str) -> bytes:
    """What two entries of which one replaces the other have in common."""
    data = address.encode()
    rest = _short(application, "an application") + _short(list_name, "a list")
    return _H.pack(len(data)) + data + rest


def pack_entry(entry: Suppression) -> bytes:
    """An entry as stored."""
    kind = REASONS.index(entry.reason)
    times = entry.at_ms.to_bytes(6, "big")
    if entry.expires_ms is not None:
        kind += _EXPIRES
        times += entry.expires_ms.to_bytes(6, "big")
    packed = b"".join((
        bytes((kind,)), times, identity_of(entry.address, entry.application, entry.list),
        _short(entry.source, "a source"), _short(entry.detail, "a detail"),
    ))  # fmt: skip
    return _H.pack(len(packed)) + packed


def unpack_entries(packed: bytes) -> list[Suppression]:
    """What stands at a place and can be read, those that have expired too.

    Raises `UnknownFormat` where nothing can: it is of a newer format, or has no end.
    """
    check_format("suppressions", packed, FORMAT)
    entries, at = [], 1
    while at < len(packed):
        after = at + 2 + int.from_bytes(packed[at : at + 2], "big")
        with suppress(UnknownFormat):
            entries.append(unpack_entry(packed[at:after]))
        at = after
    if at > len(packed):
        raise UnknownFormat("the suppressions are damaged")
    return entries


def unpack_entry(packed: bytes) -> Suppression:
    """The inverse of `pack_entry`. Raises `UnknownFormat`."""
    try:
        return _unpack(packed[2:], int.from_bytes(packed[:2], "big"))
    except (IndexError, ValueError) as error:
        raise UnknownFormat("a suppression is damaged") from error


def _unpack(entry: bytes, length: int) -> Suppression:
    kind, at, expires_ms = entry[0], 7, None
    if kind >= _OTHER_FORM:
        raise ValueError("another form")
    if kind & _EXPIRES:
        expires_ms, at = int.from_bytes(entry[7:13], "big"), 13
    end = at + 2 + int.from_bytes(entry[at : at + 2], "big")
    texts = [entry[at + 2 : end].decode()]
    for _ in range(4):
        at, end = end + 1, end + 1 + entry[end]
        texts.append(entry[at:end].decode())
    if not end == len(entry) == length:
        raise ValueError("an entry has another length")
    address, application, list_name, source, detail = texts
    return Suppression(
        address, application, list_name, REASONS[kind & 15], source,
        int.from_bytes(entry[1:7], "big"), expires_ms, detail,
    )  # fmt: skip


def pack_check(check: Check | None) -> bytes:
    """What the scripts `accept` and `start` are asked of one message; empty: nothing."""
    if check is None or not check.addresses:
        return b""
    names = b""
    for name in (check.application, check.list):
        data = name.encode()
        names += _H.pack(len(data)) + data
    parts = [b"\x01" if check.critical else b"\x00", names]
    for index, address in check.addresses:
        data = address.encode()
        parts += (_H.pack(index), place_of(address), _H.pack(len(data)), data)
    return b"".join(parts)


def position_of(entry: Suppression) -> str:
    """Where an entry comes in the list, a text to sort by: its place, then an order by chance.

    A page's cursor, which stands in URLs: it tells neither address nor list.
    """
    identity = identity_of(entry.address, entry.application, entry.list)
    mark = hashlib.blake2b(identity, digest_size=8).hexdigest()
    return place_of(entry.address).hex() + mark


def checked_cursor(cursor: str) -> str:
    """A cursor, where an empty one is the beginning. Raises `ValueError` for what was never one."""
    if cursor and not _CURSOR.fullmatch(cursor):
        raise ValueError("this cursor comes from no page")
    return cursor or "000000"


def check_put(letters: str) -> None:
    """Raises `StoreError` when a script has said that it could not put an entry on the list."""
    if "x" in letters:
        raise StoreError("suppressions of a newer release stand in the way, or damaged ones")
    if "f" in letters:
        raise StoreError("an address has too many suppressions")


class Adding:
    """Entries on their way to the list, some in each script; the asking is the caller's."""

    def __init__(self, entries: Sequence[Suppression], *, together: bool = False) -> None:
        """`together`: no event for each."""
        self._packed: list[tuple[Value, Value, Value]] = [
            (place_of(each.address), pack_entry(each), b"" if together else _encode(each))
            for each in map(bounded, entries)
        ]
        self._letters = ""

    def arguments(self) -> list[Value]:
        """Of the next script; empty: all is done."""
        done = len(self._letters)
        return [part for each in self._packed[done : done + BATCH] for part in each]

    def answered(self, letters: bytes) -> None:
        """What it has answered."""
        self._letters += letters.decode()

    def are_new(self) -> list[bool]:
        """Whether each is new. Raises `StoreError` when one could not be put on the list."""
        check_put(self._letters)
        return [letter == "n" for letter in self._letters]
