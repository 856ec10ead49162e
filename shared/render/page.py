"""A page of text under construction: lines, and what stands in front of them.

What comes out stays within a small multiple of what went in: at most `MOST_PREFIX` characters are
put in front of a line, and no two lines in a row are empty but where white space counts.
"""

from __future__ import annotations

MOST_PREFIX = 8
_INVISIBLE = "\xad\u034f\u200b\u200c\u200d\u2060\ufeff"
"""Characters that mails pad their first line with."""


class Page:
    """Lines of text: the whole page's, or a cell's."""

    __slots__ = (
        "_gap", "_prefix", "bullet", "has_table", "lines", "lists", "quotes", "space", "verbatim",
        "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.words: list[str] = []
        """The pieces of the line being written, with the spaces between them."""
        self.space = False
        """Whether white space came after the last piece."""
        self.lists: list[int] = []
        """For each open list the number of its next item; 0 for one without numbers."""
        self.bullet = ""
        """What the next line begins with."""
        self.quotes = 0
        """How many block quotes are open."""
        self.verbatim = 0
        """How many elements are open whose white space counts."""
        self.has_table = False
        """Whether a table of several lines is in it."""
        self._gap = 0
        self._prefix = ""

    def part(self, gap: int) -> None:
        """What comes next begins a line (1), or does so after an empty one (2)."""
        self._gap = max(self._gap, gap)

    def line_break(self) -> None:
        """End the line, or leave one empty."""
        self._gap = min(self._gap + 1, 2)

    def write(self, text: str) -> None:
        """Add text; white space is one space, and none at the ends of a line."""
        words = text.split()
        if not text.isascii():
            words = [word for word in words if word.strip(_INVISIBLE)]
        if not words:
            self.space = self.space or bool(text)
            return
        self._begin()
        if self.words and (self.space or text[0].isspace()):
            self.words.append(" ")
        self.words.append(" ".join(words))
        self.space = text[-1].isspace()

    def put(self, text: str) -> None:
        """Add text, with its white space where that counts."""
        if not self.verbatim:
            self.write(text)
            return
        first, *others = text.split("\n")
        self._begin()
        self.words.append(first)
        for other in others:
            self._end_line()
            self._prefix = ""
            self.words.append(other)

    def append(self, text: str) -> None:
        """Add to what was written last, whatever gap has come since."""
        if self.words or not self.lines:
            self.words.append(text)
        else:
            self.lines[-1] += text

    def add(self, lines: list[str]) -> None:
        """Add a table's lines."""
        if not lines:
            return
        self.has_table = self.has_table or len(lines) > 1
        self.part(1)
        self._begin()
        first, others = self._prefix, self._front()
        if first or others:
            lines = [first + lines[0], *(others + line for line in lines[1:])]
        self.lines += lines
        self.part(1)

    def finish(self) -> list[str]:
        """All lines, without empty ones at the start and at the end."""
        if self.words:
            self._end_line()
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        first = next((at for at, line in enumerate(self.lines) if line), 0)
        return self.lines[first:]

    def _begin(self) -> None:
        """End the line if that is due; begin one if none is begun."""
        if self._gap and self.words:
            self._end_line()
        if not self.words:
            if self._gap == 2 and self.lines and self.lines[-1]:
                self.lines.append("")
            self._prefix = self._front()
            self.space = False
        self._gap = 0

    def _front(self) -> str:
        depth = len(self.lists) - (1 if self.bullet else 0)
        front = ("> " * min(self.quotes, 4) + "  " * min(depth, 4))[:MOST_PREFIX]
        if self.bullet:
            front = front[: MOST_PREFIX - 2] + self.bullet
            self.bullet = ""
        return front

    def _end_line(self) -> None:
        self.lines.append((self._prefix + "".join(self.words)).rstrip())
        self.words = []
