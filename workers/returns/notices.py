"""The text of a bounce: which recipients it names, and what it says of each.

Takes the notice alone, without the message that is returned. Works line by line: a line that begins
with an address opens that recipient's section, what follows is of it, until the next; a refusal
that names an address belongs to it wherever it stands. Bounded in lines and addresses; linear.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from workers.returns.diagnostics import enhanced, one_line, reply_code
from workers.returns.mailboxes import spans
from workers.returns.report import MOST_RECIPIENTS, Action, Told

MOST_LINES = 2000
MOST_LINE = 2000
_MOST_ADDRESSES = 500
_MOST_PREFIX = 100
"""Characters before an address that can still be a label."""
_MOST_DETAILS = 60
"""Lines that are kept of one recipient."""

_DECORATION = re.compile(r"[\s>*•|\-–\"'<(\[:]*(?:smtp:|mailto:|rfc822;)?[\s<\"']*", re.IGNORECASE)
_RULE = re.compile(r"[|+*]? ?[-=_*~]{3,}")
_LABEL = re.compile(
    r"[\s>*•|\-]*([^\d\s:<@][^:<@]{0,60}?)\s*[:=]\s*[\s<\"'\[]*(?:smtp:|rfc822;)?[\s<\"']*", re.I
)
_OF_RECIPIENT = re.compile(
    r"recipient|address(?:ed)?|rcpt to|user|could not be delivered|deliver|unknown|failed|mailbox"
    r"|undeliverable|empfänger|收件人|受信者|宛先|destinat|an\Z|error-for",
    re.IGNORECASE,
)
_OF_SENDER = re.compile(
    r"from|sender|reply|contact|absender|发件人|help|support|message-?id|identifier|reference|subject"
    r"|mts-id|envelope|e-?mail us|date|sent|received|generating|mta|url",
    re.IGNORECASE,
)
_OF_REASON = re.compile(r"unknown|invalid|full|exceed|no such|not found", re.IGNORECASE)
"""A label that says why, too."""
_NOT_WRITTEN_TO = re.compile(
    r"(?:\bfrom|\bsender|\bcontact|\bwrite to|\bmail to|\bask|\bhelp)\W{0,5}\Z", re.IGNORECASE
)
"""Before an address in a sentence: it is the sender's, or of somebody who can help."""
_TO = re.compile(r"to|an|cc|à|para|a", re.IGNORECASE)
_TRANSCRIPT_RCPT = re.compile(r"rcpt\s+to\s*:", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?:[A-Z][a-z]{2} )?[\s\d:,\-]*(?:<<<|<--|received >>>|\[<02>\]|response:)\s*",
    re.IGNORECASE,
)
_REASON_LABEL = re.compile(
    r"(?:reason|because|error|diagnostic code|details?|grund|退信原因"
    r"|the reason for the problem|error message below|for the following reason|server message"
    r"|the response was|said)\s*[:：]?\s*",
    re.IGNORECASE,
)


class Notice:
    """What one text says. `recipients` and `reason` when it is read."""

    def __init__(self, text: str, ours: Collection[str], action: Action) -> None:
        """`ours`: addresses that it is from or to, which are nobody's who was written to."""
        self._ours = frozenset(each.lower() for each in ours)
        self._action = action
        self._sections: dict[str, list[str]] = {}
        self._weak: dict[str, None] = {}
        self._mentioned: dict[str, list[str]] = {}
        self._mention: list[str] = []
        self._refusals: dict[str, str] = {}
        self._left = _MOST_ADDRESSES
        self._current = ""
        self._asked = ""
        # Runs of white space become one space: patterns would try each of them in many ways.
        split = text.split("\n", MOST_LINES)[:MOST_LINES]
        lines = [" ".join(line[:MOST_LINE].split()) for line in split]
        for line in lines:
            self._line(line)
        self.reason = _reason(lines)

    @property
    def mentioned(self) -> Sequence[str]:
        """Every address in it, those that open a section first."""
        return list(dict.fromkeys([*self._sections, *self._weak, *self._mentioned]))

    def recipients(self) -> tuple[Told, ...]:
        """At most `MOST_RECIPIENTS`."""
        found = list(self._sections or self._weak or self._mentioned)
        return tuple(self._told(address) for address in found[:MOST_RECIPIENTS])

    def said_of(self, address: str) -> str:
        """What it says of one recipient; empty: nothing of its own."""
        paragraphs = _paragraphs(self._sections.get(address, []))
        with_code = next((each for each in paragraphs if reply_code(each) or enhanced(each)), "")
        refusal = self._refusals.get(address, "")
        mention = " ".join(self._mentioned.get(address, []))
        return refusal or with_code or (paragraphs[0] if paragraphs else mention)

    def _told(self, address: str) -> Told:
        words = self.said_of(address)
        if not words or (_says(self.reason) and not _says(words)):
            words = self.reason
        return Told(
            final_recipient=address,
            action=self._action,
            status=enhanced(words),
            code=reply_code(words),
            diagnostic=one_line(words),
        )

    def _line(self, line: str) -> None:
        if _RULE.match(line) and "@" not in line:
            line = ""
        found = self._addresses(line)
        if not found:
            self._continue_mention(line)
            self._answered(line)
            self._detail(line)
            return
        address, start, end = found[0]
        if _TRANSCRIPT_RCPT.search(line[:start]):
            self._asked = address
            self._mentioned.setdefault(address, [])
            if not self._current:
                self._open(address, "")
            return
        self._place(line, address, start, end)
        for other, _, _ in found[1:]:
            self._mentioned.setdefault(other, [])

    def _place(self, line: str, address: str, start: int, end: int) -> None:
        prefix, suffix = line[:start], line[end:].lstrip(" \"'>:,;)]")
        short = len(prefix) <= _MOST_PREFIX
        bare = short and _DECORATION.fullmatch(prefix) is not None
        label = _LABEL.fullmatch(prefix) if short and not bare else None
        name = label[1].strip() if label else ""
        if bare:
            self._open(address, suffix)
        elif label and _TO.fullmatch(name):
            self._weak[address] = None
        elif label and _OF_RECIPIENT.search(name) and not _OF_SENDER.search(name):
            self._open(address, line if _OF_REASON.search(name) else suffix)
        elif (label and _OF_SENDER.search(name)) or _NOT_WRITTEN_TO.search(prefix[-30:]):
            self._detail(line)
        else:
            self._mention = self._mentioned.setdefault(address, [])
            self._mention.append(line)
            if _says(line):
                answer = _ANSWER.match(line)
                self._refusals.setdefault(
                    address, _without_label(line[answer.end() if answer else 0 :].strip())
                )
                if address != self._current and address in self._sections:
                    return
            self._answered(line)
            self._detail(line)

    def _addresses(self, line: str) -> list[tuple[str, int, int]]:
        if "@" not in line or self._left <= 0:
            return []
        self._left -= line.count("@")
        found = list(spans(line))
        return [each for each in found if each[0].lower() not in self._ours]

    def _open(self, address: str, detail: str) -> None:
        self._current = address
        if address in self._sections or len(self._sections) < MOST_RECIPIENTS:
            self._sections.setdefault(address, [])
            self._detail(detail)
        else:
            self._current = ""

    def _continue_mention(self, line: str) -> None:
        """The rest of the paragraph in which somebody was named."""
        if not line:
            self._mention = []
        elif self._mention and len(self._mention) < _MOST_DETAILS:
            self._mention.append(line)

    def _detail(self, line: str) -> None:
        lines = self._sections.get(self._current)
        if lines is not None and len(lines) < _MOST_DETAILS:
            lines.append(line)

    def _answered(self, line: str) -> None:
        """A line of a transcript: it is about whom was asked for last."""
        found = _ANSWER.match(line)
        if found and self._asked and _says(line[found.end() :]):
            self._refusals.setdefault(self._asked, line[found.end() :].strip())


def _says(text: str) -> bool:
    return bool(text) and (reply_code(text) > 0 or bool(enhanced(text)))


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Their paragraphs on one line each, without those that only lead over to the next."""
    paragraphs: list[str] = []
    open_one = False
    for line in lines:
        words = line.strip()
        if not words:
            open_one = False
        elif open_one:
            paragraphs[-1] += f" {words}"
        else:
            paragraphs.append(words)
            open_one = True
    return [each for each in map(_without_label, paragraphs) if each]


def _without_label(paragraph: str) -> str:
    found = _REASON_LABEL.match(paragraph)
    rest = paragraph[found.end() :] if found else paragraph
    if rest.rstrip().endswith((":", "：")) and len(rest) < 80:
        return ""
    return rest.strip()


def _reason(lines: Sequence[str]) -> str:
    """What looks most like a reason in a text: words with a code, else those after `because:`."""
    after_label = ""
    labelled = False
    for paragraph in _raw_paragraphs(lines):
        for line in paragraph.split("\n"):
            answer = _ANSWER.match(line)
            words = line[answer.end() :] if answer else line
            if _says(words):
                return one_line(paragraph[paragraph.index(line) :] if not answer else words)
        if labelled and not after_label:
            after_label = paragraph
        found = _REASON_LABEL.match(paragraph.strip())
        if found and not after_label:
            after_label = paragraph.strip()[found.end() :]
        last = paragraph.rstrip().rpartition("\n")[2].strip()
        labelled = _REASON_LABEL.search(last) is not None and last.endswith((":", "："))
    because = (each for each in _raw_paragraphs(lines) if "because" in each.lower())
    return one_line(after_label or next(because, ""))


def _raw_paragraphs(lines: Sequence[str]) -> list[str]:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip() and not _RULE.match(line):
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return ["\n".join(each) for each in paragraphs if each]
