"""API keys: `ph_<id>_<secret>`, shown once, stored as a hash of the secret; what one may be for."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from shared.clock import Clock
from shared.domains import domain_of
from shared.errors import ConfigError
from shared.model.message import MessageClass
from shared.store.keys import ApiKey, Scope
from shared.suppressing.entry import EVERYBODY

_KEY = re.compile(r"ph_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
_NO_SECRET = bytes(32)
OWN_APPLICATION = "posthaste"
"""Whose mail is Posthaste's own: links and codes for people. No key is for it."""
LONGEST_APPLICATION = 64
_MOST_BYTES = 255


def application_of(text: str) -> str:
    """The application that a new key may be for. Raises `ConfigError`, in words for people."""
    name = text.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_APPLICATION:
        raise ConfigError(f"1 to {LONGEST_APPLICATION} printable characters")
    if len(name.encode()) > _MOST_BYTES:
        raise ConfigError(f"at most {_MOST_BYTES} bytes in UTF-8")
    if name == EVERYBODY:
        raise ConfigError(f"{EVERYBODY} means all applications elsewhere: choose a name")
    if name.casefold() == OWN_APPLICATION:
        raise ConfigError(f"{name} is kept for the mail of Posthaste itself: choose another name")
    return name


def domains_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The From domains that a new key may use, each once. Raises `ConfigError`."""
    return tuple(dict.fromkeys(domain_of(each) for each in texts))


def generate(
    application: str,
    from_domains: tuple[str, ...],
    classes: tuple[MessageClass, ...],
    clock: Clock,
    scopes: tuple[Scope, ...] = ("send",),
) -> tuple[str, ApiKey]:
    """A new key: its text, to be shown once, and what is stored of it."""
    identifier, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    key = ApiKey(
        id=identifier,
        application=application,
        secret_sha256=hashlib.sha256(secret.encode()).digest(),
        from_domains=from_domains,
        classes=classes,
        created_ms=clock.now_ms(),
        scopes=scopes,
    )
    return f"ph_{identifier}_{secret}", key


def parse(text: str) -> tuple[str, str] | None:
    """The public id and the secret; None when `text` is not a key."""
    match = _KEY.match(text)
    return (match[1], match[2]) if match else None


def matches(key: ApiKey | None, secret: str) -> bool:
    """Whether the secret is the key's and the key is in force; takes as long for no key."""
    digest = hashlib.sha256(secret.encode()).digest()
    same = hmac.compare_digest(digest, key.secret_sha256 if key else _NO_SECRET)
    return same and key is not None and key.revoked_ms is None
