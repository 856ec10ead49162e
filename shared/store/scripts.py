"""The Lua scripts: their text, their digests, and the keys they stand on.

Each script is its own first line (the flags), then `lua/prelude.lua`, then the rest of its file.
There a line `-- include NAME` stands for `lua/parts/NAME.lua`.
A script is sent by its digest; a server that does not know it (it was restarted) gets the text.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

PREFIX = "ph:"
"""Begins every key of the spool; Dramatiq's own keys begin with `dramatiq:`."""

_FOLDER = Path(__file__).parent / "lua"
_PRELUDE = "prelude"
_INCLUDE = re.compile(r"^ *-- include (\w+)$", re.MULTILINE)


class Script(msgspec.Struct, frozen=True):
    """One script: `text` to load, `sha` to call."""

    name: str
    text: bytes
    sha: str


def _load(name: str) -> Script:
    first, _, rest = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    prelude = (_FOLDER / f"{_PRELUDE}.lua").read_text(encoding="utf-8")
    rest = _INCLUDE.sub(lambda found: _part(found[1]), rest)
    text = f"{first}\n{prelude}\n{rest}".encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


def _part(name: str) -> str:
    return (_FOLDER / "parts" / f"{name}.lua").read_text(encoding="utf-8")


SCRIPTS = {path.stem: _load(path.stem) for path in _FOLDER.glob("*.lua") if path.stem != _PRELUDE}
"""Script by the name of its file."""
