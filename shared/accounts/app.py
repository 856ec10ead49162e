"""Setting up an authenticator app: a seed is shown, and comes back with the form, sealed.

So nothing is stored until its first code has come, and a seed is of use only to whom it was made
for: a session, or a link.
"""

from __future__ import annotations

import base64

import msgspec

from shared.accounts.accounts import Accounts
from shared.accounts.totp import new_seed, secret_of, uri_of


class AppSetup(msgspec.Struct, frozen=True):
    """What a page shows, and what its form sends back."""

    secret: str
    """To be typed in; a secret."""
    uri: str
    """For the QR code; the same secret."""
    sealed: str
    """For a hidden field."""


def setup_of(accounts: Accounts, bound_to: str, login: str, seed: bytes = b"") -> AppSetup:
    """A new seed, or this one, for whom `bound_to` names."""
    seed = seed or new_seed()
    sealed = accounts.sealer.seal(f"new:{bound_to}", seed)
    uri = uri_of(seed, login or "owner", accounts.issuer)
    return AppSetup(secret_of(seed), uri, base64.urlsafe_b64encode(sealed).decode())


def opened(accounts: Accounts, bound_to: str, sealed: str) -> bytes | None:
    """The seed that came back; None: it was made for another."""
    try:
        packed = base64.urlsafe_b64decode(sealed[:500])
    except ValueError:
        return None
    return accounts.sealer.open(f"new:{bound_to}", packed)
