"""The port of API keys. Blocking; any method may raise the `StoreError` family and nothing else."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from shared.model.message import MessageClass

Scope = Literal["send", "operate"]
"""What a key may do: submit and look after its application's messages, or operate all of it."""
SCOPES: tuple[Scope, ...] = ("send", "operate")


class ApiKey(msgspec.Struct, frozen=True):
    """An API key without its secret."""

    id: str
    """The public part, by which it is looked up."""
    application: str
    secret_sha256: bytes
    from_domains: tuple[str, ...]
    """A-label domains this key may send from; empty means any."""
    classes: tuple[MessageClass, ...]
    created_ms: int
    revoked_ms: int | None = None
    scopes: tuple[Scope, ...] = ("send",)


class Keys(Protocol):
    """API keys, stored hashed."""

    def add(self, key: ApiKey) -> None:
        """Store a key."""
        ...

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this public id, revoked or not."""
        ...

    def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        ...

    def revoke(self, key_id: str) -> bool:
        """Mark a key revoked; False when there is none."""
        ...

    def used(self, key_id: str, at_ms: int) -> None:
        """Note that a request came with this key. Callers do so once a minute or so."""
        ...

    def last_used(self) -> dict[str, int]:
        """When each key was used last, by public id; of one that never was, nothing."""
        ...
