"""What the console has sent by mail, as it stands in the in-memory store."""

from __future__ import annotations

import re

from shared.compression import unpack_content
from shared.model.message import Content, Head, unpack_head
from tests.support.console import ConsoleApi
from web.console.letters import APPLICATION

_LINK = re.compile(r"https?://\S+/console(/\S+)")
_CODE = re.compile(r"^\d{6,8}$", re.MULTILINE)


def letters(console: ConsoleApi, to: str = "") -> list[tuple[Head, Content]]:
    """All, or those to one address, the oldest first."""
    state = console.store.state
    found = [
        (unpack_head(head), unpack_content(state.contents[key]))
        for key, head in state.heads.items()
    ]
    return [
        (head, content)
        for head, content in found
        if head.application == APPLICATION
        and (not to or [each.email for each in head.recipients] == [to])
    ]


def link_in(content: Content) -> str:
    """The path under /console of a letter's link."""
    found = _LINK.search(content.text or "")
    assert found, "no link"
    return found[1]


def code_in(content: Content) -> str:
    """A letter's code."""
    found = _CODE.search(content.text or "")
    assert found, "no code"
    return found[0]
