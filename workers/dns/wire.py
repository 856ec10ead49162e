"""The plain case of DNS on the wire, by hand: a question, and an answer without surprises. Pure.

A library reads everything, and takes 400 us for each question, which was most of what mail to many
small sites cost. `query` and `plain_answer` give None for whatever is not quite usual (aliases,
names with other characters, what is cut off, records that were not asked for, any other trouble):
then the library asks. What comes from outside is read within bounds, and raises nothing.
"""

from __future__ import annotations

import ipaddress
import re
import struct

from workers.dns.answers import Found, Kind, NoData, NoSuchName, Told

_TYPES: dict[Kind, int] = {"A": 1, "MX": 15, "TXT": 16, "AAAA": 28}
_SOA, _OPT, _INTERNET = 6, 41, 1
_PLAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\Z")
_LABEL = re.compile(rb"[a-z0-9_-]{1,63}\Z", re.IGNORECASE)
_HEAD = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_OPT_BYTES = 1 + _RECORD.size
"""At the end of a query."""
_RECURSION_DESIRED, _CUT, _OTHER_KINDS = 0x0100, 0x0200, 0x7800
_RESPONSE = 0x80
"""In the first byte of the flags."""
_NO_SUCH_NAME = 3
_MOST_LABELS = 128
_MOST_SECONDS = 0x7FFFFFFF
"""A time to live beyond that is none (RFC 2181 section 8)."""


class _NotPlain(Exception):
    """The library has to read it."""


def query(name: str, kind: Kind, identity: int, payload_bytes: int) -> bytes | None:
    """A question to a recursive server, with EDNS (RFC 6891); `identity` has 16 bits."""
    if not _PLAIN.match(name):
        return None
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    head = _HEAD.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 1)
    question = labels + b"\0" + struct.pack(">HH", _TYPES[kind], _INTERNET)
    return head + question + b"\0" + _RECORD.pack(_OPT, payload_bytes, 0, 0)


def answers(response: bytes, asked: bytes) -> bool:
    """Whether a datagram is the response to a query (RFC 5452 section 9.1)."""
    question = asked[_HEAD.size : -_OPT_BYTES]
    return (
        len(response) >= _HEAD.size + len(question)
        and response[:2] == asked[:2]
        and response[2] & _RESPONSE != 0
        and response[_HEAD.size : _HEAD.size + len(question)] == question
    )


def plain_answer(response: bytes, asked: bytes, name: str, kind: Kind) -> Told | None:
    """What a response to a query says; None: it is not plain."""
    _, flags, questions, count, authorities, _ = _HEAD.unpack_from(response)
    rcode = flags & 0x000F
    if questions != 1 or flags & (_CUT | _OTHER_KINDS) or rcode not in (0, _NO_SUCH_NAME):
        return None
    at = len(asked) - _OPT_BYTES
    try:
        if count and rcode == 0:
            return _found(response, at, count, name, kind)
        if count:
            return None
        # Without an SOA it says nothing of how long that holds (RFC 2308 section 2.1, type 3).
        seconds = _denied_for(response, at, authorities, name) if authorities else 0.0
    except (_NotPlain, struct.error, IndexError, ValueError):
        return None
    return Told(NoSuchName() if rcode else NoData(name), seconds)


def _found(response: bytes, at: int, count: int, name: str, kind: Kind) -> Told:
    records, least = [], float(_MOST_SECONDS)
    for _ in range(count):
        owner, at = _name(response, at)
        found, klass, seconds, length = _RECORD.unpack_from(response, at)
        at += _RECORD.size
        if owner.lower() != name or found != _TYPES[kind] or klass != _INTERNET:
            raise _NotPlain  # An alias, or what nobody asked for.
        records.append(_text(response, at, length, kind))
        at += length
        least = min(least, _checked(seconds))
    return Told(Found(tuple(records), name), least)


def _denied_for(response: bytes, at: int, count: int, name: str) -> float:
    """The time of the SOA of the zone that denies it (RFC 2308 section 5)."""
    for _ in range(count):
        owner, at = _name(response, at)
        found, klass, seconds, length = _RECORD.unpack_from(response, at)
        at += _RECORD.size + length
        if at > len(response):
            raise _NotPlain
        if found == _SOA and klass == _INTERNET:
            if not f".{name}".endswith(f".{owner.lower()}"):
                raise _NotPlain
            (minimum,) = struct.unpack_from(">I", response, at - 4)
            return min(_checked(seconds), _checked(minimum))
    raise _NotPlain


def _checked(seconds: int) -> float:
    if seconds > _MOST_SECONDS:
        raise _NotPlain
    return float(seconds)


def _text(response: bytes, at: int, length: int, kind: Kind) -> str:
    """A record as text, as the library writes it."""
    data = response[at : at + length]
    if len(data) < length:
        raise _NotPlain
    if kind == "A":
        return str(ipaddress.IPv4Address(data))
    if kind == "AAAA":
        return str(ipaddress.IPv6Address(data))
    if kind == "MX":
        host, end = _name(response, at + 2)
        if end != at + length:
            raise _NotPlain
        return f"{int.from_bytes(data[:2], 'big')} {host}."
    strings = []
    while data:
        end = 1 + data[0]
        if end > len(data):
            raise _NotPlain
        strings.append(data[1:end])
        data = data[end:]
    return b"".join(strings).decode("utf-8", "replace")


def _name(response: bytes, at: int) -> tuple[str, int]:
    """The name at a place, without the final dot, and where it ends there. A pointer leads only
    backwards (RFC 1035 section 4.1.4), so that none leads in circles."""
    labels: list[str] = []
    end, earliest = 0, at
    while length := response[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | response[at + 1]
            if at >= earliest:
                raise _NotPlain
            earliest = at
            continue
        label = response[at + 1 : at + 1 + length]
        if len(label) < length or not _LABEL.match(label) or len(labels) >= _MOST_LABELS:
            raise _NotPlain
        labels.append(label.decode())
        at += 1 + length
    return ".".join(labels), end or at + 1
