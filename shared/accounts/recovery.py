"""Recovery codes, for when the app is lost: ten, shown once, each of use once. Pure.

A code has 80 random bits, so that a plain digest of it in the store tells nobody anything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata

COUNT = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: what looks alike is read alike."""
_ALIKE = str.maketrans("oil", "011")
_LENGTH, _GROUP = 16, 4


def new_codes() -> tuple[list[str], tuple[bytes, ...]]:
    """Ten codes for a person, and their digests for the store."""
    texts = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(COUNT)]
    shown = ["-".join(text[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP)) for text in texts]
    return shown, tuple(_digest(text) for text in texts)


def left_after(codes: tuple[bytes, ...], given: str) -> tuple[bytes, ...] | None:
    """The digests that are left once this code is used; None: it is none of them."""
    folded = unicodedata.normalize("NFKC", given[:64]).lower().translate(_ALIKE)
    digest = _digest("".join(each for each in folded if each.isalnum()))
    same = [hmac.compare_digest(each, digest) for each in codes]
    if not any(same):
        return None
    return tuple(each for each, is_it in zip(codes, same, strict=True) if not is_it)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
