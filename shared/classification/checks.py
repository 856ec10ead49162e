"""What an entry of `classification.toml` must be: a `ConfigError` says what to write instead.

The texts begin with the field; `shared.classification.file` puts file and entry before them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import get_args

from shared.classification.meaning import Category, Scope
from shared.classification.settings import ReplySettings
from shared.errors import ConfigError
from shared.setting_names import nearest
from shared.shaping.pattern import compiled

CATEGORIES: tuple[str, ...] = get_args(Category)
SCOPES: tuple[str, ...] = get_args(Scope)
OUTCOMES = ("deferral", "bounce")
DEAD = frozenset({"mailbox_unknown", "mailbox_disabled", "domain_unknown"})
"""Categories of addresses that may be dead: no shipped entry of another one suppresses."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_ENHANCED = re.compile(r"[45]\.(\*|[0-9]{1,3}\.(\*|[0-9]{1,3}))\Z")
MEANT = {
    "codes": "a list of reply codes from 400 to 599, such as [550, 554]",
    "enhanced": 'a list of enhanced codes, such as ["5.1.1"] or ["5.1.*"]',
    "providers": 'a list of names of [site.NAME] of shaping, such as ["google"]',
    "outcome": "deferral or bounce, or left out: then the first digit decides",
    "category": f"one of {', '.join(CATEGORIES)}",
    "scope": f"one of {', '.join(SCOPES)}",
    "suppresses": "true or false",
    "enabled": "true or false",
}
"""What each field is, for whoever wrote something else."""


def check_name(name: str) -> None:
    """Of an entry."""
    if not _NAME.match(name):
        raise ConfigError("a name has lower-case letters, digits, '.', '_' and '-', 64 at most")


def check_reply(reply: ReplySettings, sites: Collection[str]) -> None:
    """`sites` are the names of shaping's `[site.NAME]`. Raises `ConfigError`."""
    for code in reply.codes:
        if not 400 <= code <= 599:
            raise ConfigError(f"codes must be {MEANT['codes']}; {code} is none")
    for each in reply.enhanced:
        if not _ENHANCED.match(each):
            raise ConfigError(f"enhanced must be {MEANT['enhanced']}; {each!r} is none")
    for provider in reply.providers:
        if provider not in sites:
            near = nearest(provider, list(sites))
            raise ConfigError(f"providers: shaping has no [site.{provider}]{near}")
    try:
        compiled(reply.text)
    except ConfigError as error:
        raise ConfigError(f"text: {error}") from error
    _check_meaning(reply)
    if reply.enabled and not (reply.codes or reply.enhanced or reply.text):
        raise ConfigError("it does not say which replies it is for: give codes, enhanced or text")


def _check_meaning(reply: ReplySettings) -> None:
    for field, choices in (("category", CATEGORIES), ("scope", SCOPES), ("outcome", OUTCOMES)):
        value = getattr(reply, field)
        if value not in choices and (value or field != "outcome"):
            near = f"; {value!r} is none{nearest(value, list(choices))}" if value else ""
            raise ConfigError(f"{field} must be {MEANT[field]}{near}")
    if not reply.suppresses:
        return
    if reply.scope != "recipient":
        raise ConfigError(
            'suppresses needs scope = "recipient": what is said of a message, a site or a sender'
            " says nothing of whether somebody's address is dead"
        )
    if reply.outcome == "deferral":
        raise ConfigError(
            'suppresses does not go with outcome = "deferral": an address that is tried again is'
            " not dead; leave one of both out"
        )
