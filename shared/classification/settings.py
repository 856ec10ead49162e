"""What the tables of replies say: frozen structs. Values only.

`shared.classification.file` fills them from the shipped tables and the installation's own file, and
checks them.
"""

from __future__ import annotations

import msgspec


class ReplySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[reply]]`: replies of one kind, and what they mean. All that is said must match."""

    name: str = ""
    codes: tuple[int, ...] = ()
    """Reply codes, 400 to 599; empty: any of them."""
    enhanced: tuple[str, ...] = ()
    """Enhanced codes, `5.1.1`, or `5.1.*` for all below; empty: any or none."""
    text: str = ""
    """Regular expression, found anywhere in the reply's text, in any case; empty: any text."""
    providers: tuple[str, ...] = ()
    """Names of `[site.NAME]` of shaping; empty: everybody, relays too."""
    outcome: str = ""
    """`deferral` or `bounce`; empty: as its first digit says."""
    category: str = ""
    scope: str = ""
    suppresses: bool = False
    """Whether the address is dead, where the reply comes to a bounce."""
    reason: str = ""
    source: str = ""
    enabled: bool = True
    """false: as if the entry were not there."""


class StatusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[status]]`: what a code means by itself, where the text says nothing that is known."""

    of: str
    """Subject and detail of an enhanced code, `1.1`; a subject, `1.*`; or a reply code, `552`."""
    category: str
    scope: str
    outcome: str = ""
    suppresses: bool = False
    reason: str = ""
    source: str = ""


class ClassificationFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables that a file may have."""

    reply: tuple[ReplySettings, ...] = ()


class ClassificationSettings(msgspec.Struct, frozen=True):
    """The shipped entries with the installation's before and over them; none that is turned off."""

    reply: tuple[ReplySettings, ...] = ()
    """In the order in which they are asked."""
    path: str = ""
    """The installation's file; empty: there is none."""
    own: frozenset[str] = frozenset()
    """Names of entries that it has or changes."""
