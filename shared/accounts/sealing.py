"""Secrets of users, encrypted in the store: without the console's key they are worth nothing.

AES-256-GCM under a key derived from `console.key` for this purpose alone, bound to what the secret
belongs to, so that it opens nowhere else. What the key before it has sealed still opens.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PURPOSE = b"seeds of second factors"
_FORMAT = b"\1"
_NONCE_BYTES = 12


class Sealer:
    """Seals with the first key, opens with any."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        """With none nothing can be sealed, and nothing opens."""
        self._ciphers = [AESGCM(hmac.digest(key, _PURPOSE, hashlib.sha256)) for key in keys if key]

    def seal(self, owner: str, secret: bytes) -> bytes:
        """Encrypted for `owner`, such as a user's id. Raises `ValueError` without a key."""
        if not self._ciphers:
            raise ValueError("there is no console.key")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._ciphers[0].encrypt(nonce, secret, owner.encode())

    def open(self, owner: str, sealed: bytes) -> bytes | None:
        """The secret; None: it was sealed for somebody else, by another key, or is damaged."""
        found = self._opened(owner, sealed)
        return None if found is None else found[1]

    def renewed(self, owner: str, sealed: bytes) -> bytes:
        """The same secret under the present key; as it is where it is so already or opens not."""
        found = self._opened(owner, sealed)
        return sealed if found is None or found[0] == 0 else self.seal(owner, found[1])

    def _opened(self, owner: str, sealed: bytes) -> tuple[int, bytes] | None:
        if sealed[:1] != _FORMAT or len(sealed) < 1 + _NONCE_BYTES + 16:
            return None
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for at, cipher in enumerate(self._ciphers):
            try:
                return at, cipher.decrypt(nonce, rest, owner.encode())
            except InvalidTag:
                continue
        return None
