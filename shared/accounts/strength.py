"""How long a password would hold, roughly: for a bar beside the field, never to refuse one.

An estimate of ours: parts that are runs, words of the user's own, or the whole when it is common,
count as little; every other character counts as a random one of its password's kinds would at half
its worth, since people do not choose at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from shared.accounts.blocklist import blocked, forms_of, parts, without, words_of

_WORDS = ("very weak", "weak", "fair", "good", "strong")
_BITS = (20.0, 28.0, 36.0, 50.0)
"""From so many bits on it has the next score."""
_LONGEST = 128
"""More characters add nothing to the estimate."""


class Strength(msgspec.Struct, frozen=True):
    """An estimate."""

    score: int
    """0 to 4."""
    words: str


def estimate(password: str, about: Sequence[str] = ()) -> Strength:
    """What there is to say of it; `about` are words of its user."""
    text = password[:_LONGEST]
    words = [word for each in about for word in words_of(each)]
    left = without(forms_of(text)[0], words)
    bits = len(list(parts(left))) * math.log2(_alphabet(text)) / 2 if left else 0.0
    score = sum(bits >= least for least in _BITS)
    if blocked(text, words):
        score = min(score, 1)
    return Strength(score, _WORDS[score])


def _alphabet(text: str) -> int:
    kinds = ((str.islower, 26), (str.isupper, 26), (str.isdigit, 10))
    size = sum(count for kind, count in kinds if any(map(kind, text)))
    others = any(not each.isalnum() for each in text)
    return max(2, size + 33 * others)
