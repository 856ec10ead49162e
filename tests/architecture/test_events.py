"""The kinds of events that scripts write are those that the port tells of."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

from shared.store.events import Event
from shared.store.returns import NewsKind

LUA = Path(__file__).parents[2] / "shared" / "store" / "lua"


def test_every_kind_of_event_is_told_in_the_port() -> None:
    text = inspect.getsource(Event)
    told = text[text.index("kind: str") : text.index("leg: bytes")].partition('"""')[2]
    listed = set(re.findall(r"[a-z]+", re.sub(r"\([^)]*\)", "", told)))
    written = {
        kind
        for path in LUA.rglob("*.lua")
        for kind in re.findall(r"\bevent\('([a-z]+)'", path.read_text(encoding="utf-8"))
    }
    assert listed == written | set(get_args(NewsKind))
