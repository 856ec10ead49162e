"""PNGs of pages in 256 colours: small enough to stand in a repository.

Takes Chromium's PNGs (8 bits, RGB or RGBA, not interlaced), gives one with a palette. Pages have
few colours and many steps between them, so that the most frequent ones come near to all.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_HEAD = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}
_MOST = 256
Colour = tuple[int, int, int]


def quantised(png: bytes) -> bytes:
    """The same picture in at most 256 colours. ValueError: not a PNG as Chromium makes it."""
    width, height, pixels = _read(png)
    counts = Counter(pixels)
    palette = _palette(counts)
    index = {each: at for at, each in enumerate(palette)}
    near = {each: index.get(each, -1) for each in counts}
    for each, at in near.items():
        if at < 0:
            near[each] = min(range(len(palette)), key=lambda to: _apart(each, palette[to]))
    body = bytes(near[each] for each in pixels)
    rows = b"".join(b"\0" + body[at : at + width] for at in range(0, width * height, width))
    return _HEAD + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(bytes(each) for each in palette)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _palette(counts: Counter[Colour]) -> list[Colour]:
    """The most frequent, none of them hardly different from one that is there."""
    found: list[Colour] = []
    for each, _ in counts.most_common():
        if len(found) == _MOST:
            break
        if all(_apart(each, other) > 24 for other in found):
            found.append(each)
    return found


def _apart(one: Colour, other: Colour) -> int:
    return (
        2 * (one[0] - other[0]) ** 2 + 4 * (one[1] - other[1]) ** 2 + 3 * (one[2] - other[2]) ** 2
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_HEAD)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _read(png: bytes) -> tuple[int, int, list[Colour]]:
    parts = list(_chunks(png))
    if not png.startswith(_HEAD) or parts[0][0] != b"IHDR":
        raise ValueError("not a PNG")
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError("a PNG of another kind")
    channels = _CHANNELS[kind]
    data = zlib.decompress(b"".join(content for name, content in parts if name == b"IDAT"))
    before, pixels = bytearray(width * channels), list[Colour]()
    for top in range(0, len(data), width * channels + 1):
        row = bytearray(data[top + 1 : top + 1 + width * channels])
        _unfilter(data[top], row, before, channels)
        pixels += zip(row[0::channels], row[1::channels], row[2::channels], strict=True)
        before = row
    return width, height, pixels


def _unfilter(kind: int, row: bytearray, before: bytearray, channels: int) -> None:
    """PNG 1.2, section 6."""
    for at in range(len(row) if kind else 0):
        left = row[at - channels] if at >= channels else 0
        up = before[at]
        corner = before[at - channels] if at >= channels else 0
        add = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        row[at] = (row[at] + add) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min(
        (abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner)
    )[2]
