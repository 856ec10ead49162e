"""Passwords that are guessed first: common ones, runs, repetitions, and words of the user's own.

Pure, but for the list of common passwords, which is read once (`common_passwords.txt`, whose source
and licence stand beside it). What is compared is case folded, and with `p4$$w0rd` undone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

_LIST = Path(__file__).with_name("common_passwords.txt")
_LEET = str.maketrans("0134578@$!|+", "oieastbasiit")
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop", "yxcvbnm")
_LEAST_RUN = 3
_LEAST_LENGTH = 8
"""What is shorter is too short anyway."""
_LEAST_WORD = 3
_FEW = 5
"""A password of fewer parts than this, each one character or one run, is a sequence."""
_LEAST_OWN = 6
"""So many letters or digits must be left when words of the user's own are taken away."""
_EDGE = "".join(map(chr, range(33, 48))) + "0123456789:;=?_~ "


def blocked(password: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Code and sentence of each reason; `words` are those of its user, product and host."""
    folded, plain = forms_of(password)
    if len(folded) < _LEAST_LENGTH:
        return []
    found = []
    if is_common(folded):
        found.append(("common", "It is one of the passwords that are tried first."))
    if len(_unit(folded)) <= len(folded) // 2 or len(set(folded)) < _FEW:
        found.append(("repeated", "It repeats a few characters."))
    elif len(list(parts(folded))) < _FEW:
        found.append(("sequence", "It is a sequence, such as 12345 or qwerty."))
    rests = [(form, without(form, words)) for form in (folded, plain)]
    if any(rest != form and sum(map(str.isalnum, rest)) < _LEAST_OWN for form, rest in rests):
        found.append(("about", "It is made of your name, your login or this system's name."))
    return found


def words_of(text: str) -> list[str]:
    """The words of a login, a name or a host that a password may not be made of."""
    plain = "".join(each if each.isalnum() else " " for each in text)
    return [word for word in plain.split() if len(word) >= _LEAST_WORD]


def forms_of(password: str) -> tuple[str, str]:
    """As it is compared: case folded, and that with look-alike digits and signs undone."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    return folded, folded.translate(_LEET)


def is_common(folded: str) -> bool:
    """Whether it is on the list, alone, with digits and signs around it, or several times."""
    bases = (folded, folded.strip(_EDGE), folded.rstrip(_EDGE))
    forms = {form for base in bases for form in (base, base.translate(_LEET))}
    return bool({each for form in forms for each in (form, _unit(form))} & _common())


def without(form: str, words: Sequence[str]) -> str:
    """What is left of it without these words, the longest first."""
    folded = {forms_of(word)[at] for word in words for at in (0, 1)}
    for word in sorted(folded, key=len, reverse=True):
        form = form.replace(word, "")
    return form


def parts(form: str) -> Iterator[str]:
    """It, cut into runs (`1234`, `dcba`, `qwer`, `aaaa`) and single characters."""
    at = 0
    while at < len(form):
        length = max(_run(form, at, step) for step in _STEPS)
        length = length if length >= _LEAST_RUN else 1
        yield form[at : at + length]
        at += length


def _run(form: str, at: int, step: dict[str, str] | int) -> int:
    end = at + 1
    while end < len(form) and _follows(form[end - 1], form[end], step):
        end += 1
    return end - at


def _follows(one: str, other: str, step: dict[str, str] | int) -> bool:
    if isinstance(step, int):
        return ord(other) - ord(one) == step
    return step.get(one) == other


def _along(rows: Sequence[str]) -> Iterator[dict[str, str]]:
    for row in rows:
        yield dict(pairwise(row))
        yield dict(pairwise(reversed(row)))


_STEPS: tuple[dict[str, str] | int, ...] = (0, 1, -1, *_along(_ROWS))


def _unit(form: str) -> str:
    """The shortest text that it is a repetition of."""
    at = (form + form).find(form, 1) if form else 0
    return form[:at]


@cache
def _common() -> frozenset[str]:
    words = _LIST.read_text(encoding="utf-8").split("\n")
    return frozenset(words[:-1])
