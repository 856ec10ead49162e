"""A table as lines of text: cells side by side where that is narrow, else one below the other.

Aligned it has at most three times its text, so that no table is a bomb.
"""

from __future__ import annotations

from itertools import accumulate

from shared.render.page import Page

WIDTH = 78
"""What would be wider than this is not put side by side."""
BETWEEN = "  "
"""Between the cells of a row."""

Cell = list[str]
"""The lines of a cell."""


class Table:
    """The rows of a table, and the cell that is open."""

    def __init__(self) -> None:
        self.rows: list[list[Cell]] = []
        self.cell: Page | None = None
        self.columns = 1
        """How many the open cell takes."""
        self._plain = True
        """Whether no cell has a table of several lines."""

    def row(self) -> None:
        """Begin a row."""
        self.rows.append([])

    def close_cell(self) -> None:
        """End the open cell, if there is one: its text is complete."""
        if self.cell is None:
            return
        if not self.rows:
            self.row()
        self.rows[-1] += [self.cell.finish(), *([[]] * (self.columns - 1))]
        self._plain = self._plain and not self.cell.has_table
        self.cell = None

    def text(self) -> list[str]:
        """The table as lines: cells side by side where they fit, else one below the other."""
        rows = [_trimmed(row) for row in self.rows if any(row)]
        starts = _starts(rows)
        fits = self._plain and _fit(rows, starts)
        lines: list[str] = []
        apart = False
        for row in rows:
            if fits and len(row) > 1:
                block = _side_by_side(row, starts)
            elif all(len(cell) <= 1 for cell in row):
                block = [BETWEEN.join(cell[0] for cell in row if cell)]
            else:
                block = []
                for cell in filter(None, row):
                    block += ["", *cell] if block else cell
            tall = len(block) > 1 and not fits
            if lines and (tall or apart):
                lines.append("")
            lines += block
            apart = tall
        return lines


def _trimmed(row: list[Cell]) -> list[Cell]:
    """A row without the empty cells at its end."""
    last = max(at for at, cell in enumerate(row) if cell)
    return row[: last + 1]


def _starts(rows: list[list[Cell]]) -> list[int]:
    """Where each column begins; those without text take no room, nor does a row's last cell."""
    widths: list[int] = []
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            if column == len(widths):
                widths.append(0)
            if cell:
                widths[column] = max(widths[column], *map(len, cell))
    return [0, *accumulate(width and width + len(BETWEEN) for width in widths)]


def _fit(rows: list[list[Cell]], starts: list[int]) -> bool:
    """Whether the rows of several cells stay narrow, and the table small, when they are aligned."""
    text = size = 0
    for row in rows:
        if len(row) == 1:
            continue
        start = starts[len(row) - 1]
        if start + max(map(len, row[-1])) > WIDTH:
            return False
        size += start * max(map(len, row))
        text += sum(len(line) for cell in row for line in cell)
    return text > 0 and size <= 2 * text


def _side_by_side(row: list[Cell], starts: list[int]) -> list[str]:
    cells = [(start, cell) for start, cell in zip(starts, row, strict=False) if cell]
    lines = [""] * max(len(cell) for _, cell in cells)
    for start, cell in cells:
        for at, text in enumerate(cell):
            lines[at] = lines[at].ljust(start) + text
    return lines
