"""DKIM keys: made, read from the settings once, found by domain, shown as DNS records (RFC 6376).

A key is RSA of 2048 bits or more (RFC 8301) or Ed25519 (RFC 8463). A wrong entry is a `ConfigError`
with the remedy; a key's text never is in one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.domains import domain_of
from shared.errors import ConfigError
from shared.outgoing_settings import DkimSettings

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 4096
"""More does not fit common resolvers' answers, and costs too much for each message."""
ALGORITHMS = ("rsa", "ed25519")

_SELECTOR = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)
_TXT_STRING = 255
"""A character-string of a TXT record holds so many octets (RFC 1035 section 3.3)."""


class Key(msgspec.Struct, frozen=True):
    """A signing key of a domain."""

    domain: str
    selector: str
    private: PrivateKey

    @property
    def kind(self) -> str:
        """The record's `k=`: rsa or ed25519."""
        return "rsa" if isinstance(self.private, RSAPrivateKey) else "ed25519"

    @property
    def record_name(self) -> str:
        """Where the DNS record stands."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The TXT record's text (RFC 6376 section 3.6.1)."""
        public = self.private.public_key()
        if isinstance(self.private, RSAPrivateKey):
            data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            data = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={self.kind}; p={base64.b64encode(data).decode('ascii')}"


Keys = Mapping[str, tuple[Key, ...]]
"""The keys of each domain."""


def selector_of(text: str) -> str:
    """A selector. Raises `ConfigError`."""
    if len(text) > 63 or not _SELECTOR.match(text):
        raise ConfigError(f"selector {text!r}: lower-case letters, digits and '-', such as s2026")
    return text


def nearest(domains: Mapping[str, object] | frozenset[str], domain: str) -> str | None:
    """Of `domains`, the one that is `domain` or its nearest parent."""
    while domain:
        if domain in domains:
            return domain
        domain = domain.partition(".")[2]
    return None


@lru_cache(maxsize=8)
def domains_from(entries: tuple[DkimSettings, ...]) -> frozenset[str]:
    """The domains that have a key, without reading one. Raises `ConfigError`."""
    return frozenset(domain_of(entry.domain) for entry in entries)


def keys_from(entries: Sequence[DkimSettings]) -> dict[str, tuple[Key, ...]]:
    """Every key by its domain, parsed. Raises `ConfigError`."""
    found: dict[str, tuple[Key, ...]] = {}
    for index, entry in enumerate(entries):
        try:
            key = Key(domain_of(entry.domain), selector_of(entry.selector), _read(entry.key_file))
        except ConfigError as error:
            raise ConfigError(f"dkim[{index}]: {error}") from error
        others = found.get(key.domain, ())
        if any(other.kind == key.kind for other in others):
            raise ConfigError(
                f"dkim[{index}]: {key.domain} has two {key.kind} keys: keep the one whose record"
                " is published"
            )
        found[key.domain] = (*others, key)
    return found


def _read(path: str) -> PrivateKey:
    if not path:
        raise ConfigError("key_file is missing; `posthaste dkim generate` makes one")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no private key in PEM without a pass phrase") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(f"{path}: DKIM knows RSA and Ed25519 keys")
    if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        raise ConfigError(
            f"{path}: an RSA key of {key.key_size} bits; it must have {LEAST_RSA_BITS} (RFC 8301)"
            f" to {MOST_RSA_BITS}"
        )
    return key


def generate(algorithm: str, bits: int = LEAST_RSA_BITS) -> PrivateKey:
    """A new key."""
    if algorithm == "ed25519":
        return Ed25519PrivateKey.generate()
    return generate_private_key(public_exponent=65537, key_size=bits)


def to_pem(key: PrivateKey) -> bytes:
    """The private key as PEM (PKCS #8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def zone_line(key: Key) -> str:
    """The record as a line of a zone file, in strings of at most 255 octets."""
    text = key.record
    strings = [text[at : at + _TXT_STRING] for at in range(0, len(text), _TXT_STRING)]
    return f"{key.record_name}. 3600 IN TXT ( " + " ".join(f'"{each}"' for each in strings) + " )"
