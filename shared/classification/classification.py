"""What a reply means: the tables asked in order, then the enhanced code, then the digit. Pure.

Text counts more than codes, since servers are careless with those: "550 5.1.1 ... blocked for spam"
is no dead address. What nobody has written an entry for is judged by its enhanced code (RFC 3463),
its reply code, and at last its first digit, of which only a few codes suppress. Entries are asked
in a text without addresses: a recipient called `spam` is not to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from shared.classification.doubt import doubt
from shared.classification.file import statuses
from shared.classification.meaning import Meaning
from shared.classification.settings import ReplySettings, StatusSettings
from shared.enhanced_codes import is_among, named
from shared.settings import Settings
from shared.shaping.pattern import LONGEST_TEXT, compiled

KEPT_MEANINGS = 4096
"""Replies whose meaning is remembered."""
BAD_SEQUENCE = 503
"""About the sequence of commands: it says nothing of the message or of anybody."""
_TOO_MUCH = 552
_SAYS_WHAT = frozenset({"2.2", "3.4"})
"""Details with which 552 to RCPT is not one of too many recipients."""
_ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]]{1,64}@[^\s<>\"'(),;:\[\]]{1,255}")
_IN_TEXT = re.compile(r"(?<![0-9.])#?([45]\.[0-7]\.[0-9]{1,3})(?![0-9]|\.[0-9])")
"""An enhanced code that stands in the text, such as (#5.1.1)."""


class Rule(msgspec.Struct, frozen=True):
    """One entry, ready to be asked."""

    entry: ReplySettings
    codes: frozenset[int]
    enhanced: tuple[str, ...]
    """Whole codes, or beginnings that end with a dot."""
    text: re.Pattern[str] | None

    def matches(self, code: int, enhanced: str, text: str, provider: str) -> bool:
        """Whether all that it says is so."""
        if self.codes and code not in self.codes:
            return False
        if self.entry.providers and provider not in self.entry.providers:
            return False
        if not is_among(enhanced, self.enhanced):
            return False
        return self.text is None or self.text.search(text) is not None


class Classification:
    """Asked for each refusal: answers are remembered."""

    def __init__(self, settings: Settings) -> None:
        """Entries are checked before, by `shared.classification.file`."""
        self._rules = tuple(_rule(entry) for entry in settings.classification.reply)
        self._own = settings.classification.own
        self._statuses = {each.of: each for each in statuses()}
        self._of = lru_cache(maxsize=KEPT_MEANINGS)(self._find)

    def __iter__(self) -> Iterator[ReplySettings]:
        """The entries, in the order in which they are asked."""
        return (rule.entry for rule in self._rules)

    def of(
        self, code: int, enhanced: str, text: str, *, provider: str = "", at_rcpt: bool = False
    ) -> Meaning:
        """What a reply of 4xx or 5xx means; of any other the outcome is a deferral.

        `provider`: the name of shaping's `[site.NAME]` whose server it is; empty: another one's, or
        a relay's. `at_rcpt`: it answered RCPT.
        """
        return self._of(code, enhanced, text[:LONGEST_TEXT], provider, at_rcpt)

    def _find(self, code: int, enhanced: str, text: str, provider: str, at_rcpt: bool) -> Meaning:
        if "@" in text:
            text = _ADDRESS.sub("@", text)
        if not enhanced:
            found = _IN_TEXT.search(text)
            if found is not None and int(found[1][0]) == code // 100:
                enhanced = found[1]
        meaning = self._first(code, enhanced, text, provider)
        meaning = meaning or self._by_code(code, enhanced, at_rcpt)
        if meaning.suppresses and meaning.rule not in self._own:
            why = doubt(enhanced, text)
            if why:
                return msgspec.structs.replace(meaning, suppresses=False, doubt=why)
        return meaning

    def _first(self, code: int, enhanced: str, text: str, provider: str) -> Meaning | None:
        """By the first entry that matches."""
        for rule in self._rules:
            if rule.matches(code, enhanced, text, provider):
                return _meaning(rule.entry, code, rule.entry.name)
        return None

    def _by_code(self, code: int, enhanced: str, at_rcpt: bool) -> Meaning:
        """Of a reply whose text says nothing that is known."""
        kind, _, detail = enhanced.partition(".")
        if at_rcpt and code == _TOO_MUCH and detail not in _SAYS_WHAT:
            # RFC 5321 section 4.5.3.1.10: it has long meant "too many", which is temporary.
            return Meaning("deferral", "protocol", "message", False, "552 to RCPT")
        for of in (detail, f"{detail.partition('.')[0]}.*") if enhanced else ():
            if of in self._statuses:
                status = self._statuses[of]
                sure = kind == "5"  # 550 with 4.1.1 contradicts itself.
                return _meaning(status, code, f"enhanced {kind}.{of}", sure=sure)
        if str(code) in self._statuses:
            return _meaning(self._statuses[str(code)], code, f"code {code}")
        return Meaning(_by_digit(code), "other", "message", False, f"digit {code // 100}")


def _meaning(
    entry: ReplySettings | StatusSettings, code: int, rule: str, *, sure: bool = True
) -> Meaning:
    """An entry's, for a reply with this code: an address is dead only where it bounces."""
    outcome: Any = entry.outcome or _by_digit(code)
    category: Any = entry.category
    scope: Any = entry.scope
    dead = entry.suppresses and sure and outcome == "bounce" and scope == "recipient"
    return Meaning(outcome, category, scope, dead, rule)


def _by_digit(code: int) -> Any:
    """5yz is for good; everything else, what nobody knows too, may change."""
    return "bounce" if code // 100 == 5 and code != BAD_SEQUENCE else "deferral"


def _rule(entry: ReplySettings) -> Rule:
    return Rule(
        entry=entry,
        codes=frozenset(entry.codes),
        enhanced=named(entry.enhanced),
        text=compiled(entry.text) if entry.text else None,
    )
