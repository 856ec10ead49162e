"""Which addresses take mail that comes back, known at RCPT: what is refused there needs no answer.

Return paths of ours whose token is right and not too old, the address of complaints, postmaster
and abuse. Pure but for the clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.addresses import ascii_domain
from shared.clock import Clock
from shared.feedback.tokens import Reference, Tokens, token_in
from shared.settings import Settings

Kind = Literal["return_path", "complaints", "postmaster", "abuse"]
Refusal = Literal["unknown", "bad_token", "expired"]
_DAY_MS = 86_400_000


class Mailbox(msgspec.Struct, frozen=True):
    """An address that takes mail."""

    kind: Kind
    reference: Reference | None = None
    """Of a return path."""


class Mailboxes:
    """All of one installation."""

    def __init__(self, settings: Settings, tokens: Tokens | None, clock: Clock) -> None:
        """Without `tokens` nothing is signed, so there are no return paths."""
        self._tokens = tokens
        self._clock = clock
        self._valid_ms = settings.feedback.valid_days * _DAY_MS
        self._domains = {each.lower().rstrip(".") for each in settings.bounces.domains}
        self._kinds: dict[str, Kind] = {
            "postmaster": "postmaster",
            "abuse": "abuse",
            settings.bounces.complaints.lower(): "complaints",
        }

    def find(self, address: str) -> Mailbox | Refusal:
        """Whose an address is, in whatever case, or why it is nobody's."""
        local, at, domain = address.rpartition("@")
        if not at:  # RFC 5321 section 4.5.1: <postmaster> stands alone.
            local, domain = address, ""
        if not address.isascii() or (not at and local.lower() != "postmaster"):
            return "unknown"
        if at and (ascii_domain(domain.rstrip(".")) or "") not in self._domains:
            return "unknown"
        if local.startswith('"') and local.endswith('"'):
            local = local[1:-1]
        kind = self._kinds.get(local.lower())
        if kind is not None:
            return Mailbox(kind)
        token = token_in(local)
        return "unknown" if token is None else self.return_path(token)

    def return_path(self, token: str) -> Mailbox | Refusal:
        """The return path, or the header's value, that a token is."""
        reference = None if self._tokens is None else self._tokens.read(token)
        if reference is None:
            return "bad_token"
        if self._clock.now_ms() - reference.accepted_ms > self._valid_ms:
            return "expired"
        return Mailbox("return_path", reference)
