"""Codes of authenticator apps (RFC 6238: SHA-1, six digits, 30 seconds). Pure.

A code counts for its time step and one to each side. That it counts once only is for whoever keeps
the step it was taken of: `User.totp_step` (B27).
"""

from __future__ import annotations

import base64
import hmac
import secrets
import unicodedata

from pyotp import HOTP, TOTP

STEP_MS = 30_000
DIGITS = 6
_SEED_BYTES = 20
_WINDOW = (-1, 0, 1)


def new_seed() -> bytes:
    """20 random bytes, as RFC 4226 wants."""
    return secrets.token_bytes(_SEED_BYTES)


def secret_of(seed: bytes) -> str:
    """As it is typed into an app that reads no QR code."""
    return base64.b32encode(seed).decode().rstrip("=")


def uri_of(seed: bytes, login: str, issuer: str) -> str:
    """`otpauth://`, for the QR code."""
    return TOTP(secret_of(seed)).provisioning_uri(name=login, issuer_name=issuer)


def code_at(seed: bytes, step: int) -> str:
    """The code of a time step."""
    return HOTP(secret_of(seed), digits=DIGITS).at(step)


def step_of(seed: bytes, code: str, now_ms: int) -> int | None:
    """The time step that a code is of, the latest that fits; None: of none near now.

    Takes as long whichever fits.
    """
    given = digits_of(code, DIGITS).encode()
    now = now_ms // STEP_MS
    found = None
    for step in (now + each for each in _WINDOW):
        if hmac.compare_digest(code_at(seed, max(0, step)).encode(), given):
            found = step
    return found


def digits_of(text: str, count: int) -> str:
    """A code of so many digits as people type it, with spaces or dashes; empty: it is none."""
    plain = "".join(unicodedata.normalize("NFKC", text[:64]).split()).replace("-", "")
    return plain if len(plain) == count and plain.isascii() and plain.isdigit() else ""
