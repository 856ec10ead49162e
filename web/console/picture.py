"""A QR code as rows of dark squares, so that a template draws it as shapes and nothing is markup.

Takes the text that an app reads, gives numbers.
"""

from __future__ import annotations

from itertools import groupby

import msgspec
import segno

_MARGIN = 4
"""Squares that stay light around it (ISO/IEC 18004)."""


class Picture(msgspec.Struct, frozen=True):
    """`rows`: x, y and length of each run of dark squares, in squares."""

    size: int
    rows: tuple[tuple[int, int, int], ...]


def picture_of(text: str) -> Picture:
    """The QR code of a text."""
    matrix = segno.make_qr(text, error="m").matrix
    rows: list[tuple[int, int, int]] = []
    for y, line in enumerate(matrix):
        x = 0
        for dark, run in groupby(line):
            length = len(list(run))
            if dark:
                rows.append((x + _MARGIN, y + _MARGIN, length))
            x += length
    return Picture(len(matrix) + 2 * _MARGIN, tuple(rows))
