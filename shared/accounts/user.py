"""A user of the console, the roles, and what each may do. Pure."""

from __future__ import annotations

import unicodedata
from typing import Literal

import msgspec

Role = Literal["owner", "operator", "developer", "reader"]
ROLES: tuple[Role, ...] = ("owner", "operator", "developer", "reader")

Permission = Literal["look", "content", "compose", "change", "operate", "keys", "people", "audit"]
"""`look`: figures, messages without their content, destinations. `content`: headers, source and
preview of messages. `compose`: write messages. `change`: cancel, reschedule or queue again one
message. `operate`: destinations, and what is set aside. `keys`: API keys. `people`:
users and roles. `audit`: the audit trail."""

MAY: dict[Role, frozenset[Permission]] = {
    "reader": frozenset({"look"}),
    "developer": frozenset({"look", "content", "compose", "change", "keys"}),
    "operator": frozenset({"look", "content", "compose", "change", "operate", "audit"}),
    "owner": frozenset(
        {"look", "content", "compose", "change", "operate", "keys", "people", "audit"}
    ),
}

SecondFactor = Literal["none", "totp", "email"]
LONGEST_LOGIN = 254


class User(msgspec.Struct, frozen=True):
    """As it is stored."""

    id: str
    """`usr_` and 16 hexadecimal digits."""
    login: str
    """An e-mail address, as `login_of` makes it: unique."""
    name: str
    role: Role
    created_ms: int
    password: str = ""
    """Argon2id, in the PHC format; empty: none yet."""
    password_ms: int = 0
    """When it was set."""
    password_alone: bool = False
    """Whether it is long enough to stand without a second factor."""
    second_factor: SecondFactor = "none"
    totp_seed: bytes = b""
    """Encrypted (`shared.accounts.sealing`)."""
    totp_step: int = 0
    """The last time step that a code was taken of: only a later one counts (RFC 6238 5.2)."""
    recovery_codes: tuple[bytes, ...] = ()
    """SHA-256 of those that are left."""
    devices: tuple[bytes, ...] = ()
    """SHA-256 of the tokens of browsers that have signed in before; the last ten."""
    disabled: bool = False
    seen_ms: int = 0
    """When it last signed in."""
    revision: int = 0
    """Changes with each write, so that no two states look the same."""
    generation: int = 0
    """Of its sessions: one that began in an earlier generation has ended (B26)."""

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it."""
        return permission in MAY[self.role]


def login_of(text: str) -> str:
    """A login as it is compared and stored: NFKC, case folded, no white space around (B10)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
