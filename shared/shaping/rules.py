"""Which replies say that a site or relay wants less: the rules, asked in order. Pure.

What is about one recipient never counts, whatever a rule says (`about_recipient`): a full mailbox,
greylisting, too many recipients. Those mean nothing for other mail, and would stop all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from shared.enhanced_codes import is_among, named
from shared.shaping.pattern import LONGEST_TEXT, compiled
from shared.shaping.settings import RuleSettings

ASKED_FOR_LESS = "asked for less"
"""How the reason begins for which a destination stands still or is slowed down by a rule."""

_GREYLISTING = re.compile(
    r"""
    gr[ae]y-?\ ?list | postgrey | sqlgrey | \bgr[ae]y-listed
    | \binternal\ resources?\ (?:is\ |are\ )?temporarily\ unavailable  # Mimecast.
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COME_BACK = re.compile(
    r"""
    \b(?:try|retry|come\ back|again|return|wait)\b .{0,30}? \b(?:in|for|after)\ \d{1,5}\ ?
        (?:s|sec|seconds?|m|min|minutes?|hours?)\b
    | \b(?:come\ back|return)\ later\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FULL = re.compile(
    r"""
    \bover\ ?quota\b | \bquota\ (?:is\ |was\ |has\ been\ )?exceeded | \bexceeded\ .{0,30}\bquota\b
    | \bquota\ (?:is\ )?full\b | \b(?:mailbox|inbox|account)\ .{0,30}\bfull\b
    | \b(?:mailbox|inbox)\ .{0,30}\bquota\b
    | \bout\ of\ storage\ space\b | \bstorage\ .{0,20}\bexceeded\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BUSY_MAILBOX = re.compile(
    r"""
    \b(?:user|recipient)\ you\ are\ trying\ to\ contact\b  # Google, Proofpoint: it gets too much.
    | \bmessages?\ (?:to|for)\ \S{1,64}@                    # Apple: the same.
    | \brecipient\ thread\ limit\b                          # Exchange.
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TOO_MANY = re.compile(
    r"\btoo many (?:rcpts?|recipients)\b(?! received this hour)"
    r"|\bper transaction exceeded\b|\bmultiple destination domains\b|\brcpt domain\b",
    re.IGNORECASE,
)
"""About this transaction, or this recipient's domain among others of the site. What some servers
count by the hour is a limit, and not among these."""
_LIMIT = re.compile(
    r"\brate\b|throttl|\btoo (?:many|much|fast)\b|\b(?:hourly|daily|sending)\b", re.IGNORECASE
)
"""Words of who counts what we send: neither greylisting nor a full mailbox has them."""
_SAYS_NOTHING = frozenset({"", "4.7.0", "4.7.1", "4.3.0", "4.3.2", "4.0.0"})
"""Enhanced codes that greylisting and limits have in common."""


def about_recipient(code: int, enhanced: str, text: str, *, at_rcpt: bool) -> str:
    """What makes a reply one about a recipient alone, in words; empty when it may be about more."""
    text = text[:LONGEST_TEXT]
    subject = enhanced[2:]
    if subject.startswith("2.") or (code == 552 and at_rcpt) or _BUSY_MAILBOX.search(text):
        return "about a mailbox"
    counts = _LIMIT.search(text) is not None
    if _FULL.search(text) and not counts:
        return "about a mailbox"
    if subject in ("1.1", "1.2", "1.3", "1.6", "1.10"):
        return "about an address"
    if subject == "5.3" or _TOO_MANY.search(text):
        return "about the recipients of one transaction"
    if _GREYLISTING.search(text):
        return "greylisting"
    if at_rcpt and code in (450, 451) and _COME_BACK.search(text) and not counts:
        return "greylisting, by its wish to be asked again"
    return ""


class Rule(msgspec.Struct, frozen=True):
    """One rule, ready to be asked."""

    name: str
    codes: frozenset[int]
    enhanced: tuple[str, ...]
    """Whole codes, or beginnings that end with a dot."""
    text: re.Pattern[str] | None
    sites: frozenset[str]
    suspend_seconds: float
    """0: nothing is suspended."""
    slow: bool
    reason: str = ""
    source: str = ""

    def matches(self, code: int, enhanced: str, text: str, provider: str) -> bool:
        """Whether all that it says is so."""
        if code not in self.codes if self.codes else code // 100 != 4:
            return False
        if self.sites and provider not in self.sites:
            return False
        if not is_among(enhanced, self.enhanced):
            return False
        return self.text is None or self.text.search(text) is not None


class Rules:
    """The rules in order: new ones of the installation, then the shipped ones."""

    def __init__(self, entries: Iterable[RuleSettings] = ()) -> None:
        """Entries are checked before, by `shared.shaping.file`."""
        self._rules = tuple(_rule(entry) for entry in entries)

    def __iter__(self) -> Iterator[Rule]:
        """In the order in which they are asked."""
        return iter(self._rules)

    def find(
        self, code: int, enhanced: str, text: str, *, at_rcpt: bool, provider: str
    ) -> Rule | None:
        """The first rule that a reply matches; None: it asks for nothing.

        `at_rcpt`: it answered RCPT. A 450 or 451 there with a code that says nothing (4.7.1, or
        none) is what greylisting looks like, so that only a rule about its text matches it.
        """
        if code // 100 not in (4, 5) or about_recipient(code, enhanced, text, at_rcpt=at_rcpt):
            return None
        text = text[:LONGEST_TEXT]
        vague = at_rcpt and code in (450, 451) and enhanced in _SAYS_NOTHING
        for rule in self._rules:
            if vague and rule.text is None:
                continue
            if rule.matches(code, enhanced, text, provider):
                return rule
        return None


def _rule(entry: RuleSettings) -> Rule:
    return Rule(
        name=entry.name,
        codes=frozenset(entry.codes),
        enhanced=named(entry.enhanced),
        text=compiled(entry.text) if entry.text else None,
        sites=frozenset(entry.sites),
        suspend_seconds=entry.suspend_seconds,
        slow=entry.slow,
        reason=entry.reason,
        source=entry.source,
    )
