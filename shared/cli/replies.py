"""A server's reply as somebody has it at hand: from a log, a bounce, or a session. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.cli.operate import printable
from shared.errors import ConfigError
from shared.setting_names import nearest

_LINE = re.compile(r"([2-5][0-9]{2})(?:[ -]|\Z)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ :]|\Z)")
_PREFIX = re.compile(r"(?:diagnostic-code:\s*)?smtp;\s*|(?:host \S+ )?said:\s*", re.IGNORECASE)


def parsed_reply(reply: str) -> tuple[int, str, str]:
    """Code, enhanced code and text of a reply of one line or more. Raises `ConfigError`.

    What a bounce puts before it (`smtp; `) is left out, and so is a code that a line repeats; a
    line without one goes on with the line before.
    """
    code, enhanced, texts = 0, "", []
    for line in reply.splitlines():
        rest = line.strip() if code else line.strip()[_prefix(line.strip()) :]
        match = _LINE.match(rest)
        if match is None and code:
            texts.append(rest)
            continue
        if match is None or (code and int(match[1]) != code):
            raise ConfigError(
                f"{printable(reply)!r} is no reply of a server, such as"
                ' "421 4.7.0 Too many connections"'
            )
        code, text = int(match[1]), match[2].strip()
        found = _ENHANCED.match(text)
        if found is not None:
            enhanced, text = enhanced or found[1], text[found.end() :].strip()
        texts.append(text)
    if not code:
        raise ConfigError('the reply is empty: give one such as "550 5.1.1 User unknown"')
    return code, enhanced, " ".join(filter(None, texts))


def _prefix(line: str) -> int:
    """Characters before the reply's code."""
    found = _PREFIX.match(line)
    return found.end() if found is not None else 0


def known(kind: str, name: str, names: Sequence[str]) -> None:
    """Raise `ConfigError` when there is none of that name."""
    if name not in names:
        there = nearest(name, list(names)) if names else "; there is none at all"
        raise ConfigError(f"there is no {kind} {printable(name)}{there}")
