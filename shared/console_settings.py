"""Settings of the console, the pages for people. Values only."""

from __future__ import annotations

import msgspec


class ConsoleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The console: who may use it is in the store, how they sign in is here."""

    url: str = ""
    """`https://` and the name under which browsers reach web; empty: there is no console."""
    key: str = ""
    """32 characters or more, the same on all machines: encrypts second factors' seeds, and signs
    forms."""
    key_file: str = ""
    """File with that key in its first line."""
    previous_key_file: str = ""
    """File with the key before it: what that has encrypted is still read."""
    application: str = "console"
    """Application that messages written in the console belong to."""
    from_domains: tuple[str, ...] = ()
    """Domains that these may be from; empty: any."""
    mail_from: str = ""
    """From of invitations, password resets and codes, such as `Posthaste <posthaste@example.com>`;
    empty: none of them can be sent by mail."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of load balancers whose X-Forwarded-For tells the client's address."""
    idle_seconds: int = 2 * 3600
    """After so long without a page a session ends."""
    session_seconds: int = 12 * 3600
    """After so long it ends in any case."""
    confirm_seconds: int = 600
    """How long after a password was given it is not asked for again before a sensitive act."""
    require_two_factor: bool = False
    """Nobody gets further than setting up a second factor without one."""
    email_codes: bool = True
    """Whether a code by mail may be a second step, which is weaker than an app's."""
    password_min_length: int = 15
    """Characters of a password that stands alone (NIST SP 800-63B asks for 15)."""
    password_min_length_two_factor: int = 8
    """Characters of one with a second factor (NIST asks for 8)."""
    password_classes: int = 0
    """Kinds of characters that a password must have, of lower case, upper case, digits and others;
    0: as NIST SP 800-63B says, none."""
    password_max_age_days: int = 0
    """A password older than this must be changed; 0: never for its age, as NIST says."""
    inbox_url: str = ""
    """Where the local inbox is, which `posthaste up` sets; empty: none is linked."""
    drafts_bytes: int = 256 * 1024 * 1024
    """Attachments of all drafts together."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"ConsoleSettings(url={self.url!r})"
