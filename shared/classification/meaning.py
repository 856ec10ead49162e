"""What a reply comes to: plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

Category = Literal[
    "mailbox_unknown", "mailbox_disabled", "mailbox_full", "mailbox_busy", "domain_unknown",
    "greylisting", "rate", "reputation", "policy", "content", "authentication", "size", "routing",
    "protocol", "system", "network", "encryption", "other",
]  # fmt: skip
Scope = Literal["recipient", "message", "site", "source"]
"""Whom else it would be said to: this recipient alone; whoever gets this message; anybody at that
site; whatever comes from our address or domain."""


class Meaning(msgspec.Struct, frozen=True):
    """What one reply means."""

    outcome: Literal["deferral", "bounce"]
    category: Category
    scope: Scope
    suppresses: bool
    """Whether the address is dead: only ever with scope recipient and outcome bounce."""
    rule: str
    """Which rule said so: its name, or `enhanced 5.1.1`, `digit 5`."""
    doubt: str = ""
    """The words, or the enhanced code, for which an address that the rule would suppress is not
    (`shared.classification.doubt`); else empty."""
