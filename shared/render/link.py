"""A link in a text: `[its text](where it leads)`, or only the one when both are the same."""

from __future__ import annotations

from shared.render.page import Page

_NOWHERE = ("#", "javascript:", "data:", "vbscript:", "cid:")


def target_of(reference: str) -> str:
    """Where an `href` leads, in one word; empty when that is of no use in a text."""
    target = "".join(reference.strip().replace(" ", "%20").split())
    return "" if target.lower().startswith(_NOWHERE) else target


class Link:
    """A link that is open."""

    def __init__(self, target: str, depth: int) -> None:
        self.depth = depth
        """How many pages were open when it began."""
        self.has_image = False
        self._target = target
        self._text: list[str] = []
        self._line: list[str] = []
        """The words of the line in which its text begins, and the place there."""
        self._at = -1

    def write(self, text: str, page: Page) -> None:
        """Write text of it, which is not only white space."""
        if not self._text:
            page.space = page.space or text[0].isspace()
            page.put("[" + text.lstrip())
            self._line, self._at = page.words, len(page.words) - 1
        else:
            page.put(text)
        self._text.append(text)

    def end(self, page: Page) -> None:
        """Say where it leads, behind what was written last."""
        if not self._text:
            if self.has_image:
                page.write(f" {self._target}")
            return
        label = " ".join("".join(self._text).split())
        is_target = label in (self._target, self._target.partition(":")[2])
        if is_target and self._line is page.words and self._line[self._at].startswith("["):
            self._line[self._at] = self._line[self._at][1:]
        else:
            page.append(f"]({self._target})")
