"""Settings of what comes back: return paths, bounces, complaints, unsubscribing. Values only."""

from __future__ import annotations

import msgspec


class FeedbackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that signs return paths, references and links, and how long they count."""

    key: str = ""
    """32 characters or more, the same on all machines; empty, and no file: nothing is signed, so
    there are neither return paths of our own nor unsubscribe links."""
    key_file: str = ""
    """File with that key in its first line."""
    previous_key_file: str = ""
    """File with the key before it: what that has signed still counts."""
    valid_days: int = 60
    """How long after a message was accepted a bounce or complaint about it counts."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"FeedbackSettings(valid_days={self.valid_days!r})"


class BounceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Return paths of our own (VERP), and the server that takes what comes back there."""

    domains: tuple[str, ...] = ()
    """Domains of return paths, whose MX is that server; empty: MAIL FROM is what the message says.
    A message has the one that is nearest to its From domain, else the first."""
    listen: str = "127.0.0.1:2530"
    """Where `posthaste bounces` takes mail (SMTP)."""
    operator_listen: str = ""
    """Where it tells its metrics and its health; empty: nowhere. Never public."""
    ehlo_name: str = ""
    """What it greets with; empty: this host's name."""
    complaints: str = "complaints"
    """Local part of the address, in each of `domains`, that complaints (feedback loops) come to."""
    max_message_bytes: int = 10 * 1024 * 1024
    max_sessions: int = 100
    """Open at once; more are told to come back."""
    suppress: str = "on"
    """`on`: an address that a server calls dead goes on the suppression list; or `off`."""
    suppress_days: int = 0
    """For how long; 0: for good."""
    max_sessions_per_address: int = 20
    """Of these for one client address (IPv6: its /64); as many as there are places where a load
    balancer or a container's network hides the clients' addresses."""
    certificate_file: str = ""
    """PEM file with the certificate and its chain; empty: STARTTLS is not offered."""
    key_file: str = ""
    """PEM file with its key; empty: it stands in the same file."""
    keep_messages: int = 500
    """What could not be matched, or was for postmaster or abuse, is kept for a look: the last so
    many, of each at most 64 KiB."""


class UnsubscribeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One-click unsubscribe (RFC 8058)."""

    url: str = ""
    """`https://` and the name under which web is reached from outside; empty: `list` is refused."""
