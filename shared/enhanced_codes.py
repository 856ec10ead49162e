"""Enhanced status codes (RFC 3463) as rules name them: whole, or `4.7.*` for all that begin so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def named(written: Iterable[str]) -> tuple[str, ...]:
    """Those that a rule names, ready to be asked: beginnings end with a dot."""
    return tuple(each.removesuffix("*") for each in written)


def is_among(code: str, codes: Sequence[str]) -> bool:
    """Whether a code is one of these (`named`); where there are none, every reply is."""
    return not codes or any(
        code.startswith(each) if each.endswith(".") else code == each for each in codes
    )
