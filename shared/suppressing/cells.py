"""Cells of a spreadsheet that must not become formulas (B40), and the way back. Pure.

A cell that begins with one of a few characters is read as a formula by spreadsheet programs, and
`=cmd|...` is a valid address. Such cells get an apostrophe in front, and so do those that begin
with one, so that an import takes off exactly what an export has put there.
"""

from __future__ import annotations

_BEGINNINGS = frozenset("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
"""The last four are the wide forms of the first, which some programs take for them."""


def guarded(cell: str) -> str:
    """A cell as it is written."""
    return "'" + cell if cell[:1] in _BEGINNINGS and cell else cell


def unguarded(cell: str) -> str:
    """A cell as it was before `guarded`."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _BEGINNINGS and len(cell) > 1 else cell
