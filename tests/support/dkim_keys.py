"""DKIM keys of tests, made once a run, and the verifier that is not ours."""

from __future__ import annotations

from functools import lru_cache

import dkim

from shared.dkim import Key, generate


@lru_cache(maxsize=16)
def _key(algorithm: str, domain: str, selector: str) -> Key:
    return Key(domain, selector, generate(algorithm))


def rsa_key(domain: str = "shop.test", selector: str = "s1") -> Key:
    """An RSA key; the same one for the same names."""
    return _key("rsa", domain, selector)


def ed25519_key(domain: str = "shop.test", selector: str = "e1") -> Key:
    """An Ed25519 key; the same one for the same names."""
    return _key("ed25519", domain, selector)


def verifies(message: bytes, *keys: Key) -> list[bool]:
    """Whether each signature of a message is good, by dkimpy."""

    def record(name: bytes, timeout: int = 5) -> bytes | None:
        del timeout
        for key in keys:
            if name.decode().rstrip(".") == key.record_name:
                return key.record.encode()
        return None

    count = message.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    found = []
    for index in range(count):
        try:
            found.append(bool(dkim.DKIM(message).verify(index, dnsfunc=record)))
        except dkim.DKIMException:
            found.append(False)
    return found
