"""The settings of how mail leaves: relays, routes, direct delivery, DNS, DKIM keys.

Values only, as in `shared.settings`, which has all sections together.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Switch = Literal["on", "off"] | bool


class TimeoutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds to wait for a server (RFC 5321 section 4.5.3.2)."""

    connect: float = 30.0
    """For the connection, and for a TLS handshake."""
    banner: float = 300.0
    command: float = 300.0
    """For the answer to EHLO, AUTH, MAIL, RCPT, RSET."""
    data: float = 120.0
    """For the answer to DATA."""
    block: float = 180.0
    """For a block of the message to be taken."""
    final: float = 600.0
    """For the answer to the message."""
    quit: float = 5.0


class RelaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One relay (smarthost). The first one is where mail goes."""

    name: str = ""
    """Its name in queues and metrics; the first one's is `relay` unless it says otherwise."""
    url: str = ""
    """`smtp://[user:password@]host[:port]`, `smtps://` for implicit TLS; instead of the next."""
    host: str = ""
    port: int = 0
    """0: 465 for implicit TLS, 25 on loopback, else 587."""
    tls: str = ""
    """implicit, required, opportunistic or none; empty: none for loopback, else required."""
    tls_name: str = ""
    """The name in its certificate; empty: the host."""
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's."""
    client_certificate: str = ""
    """PEM file with our certificate, and with its key unless `client_key` names that."""
    client_key: str = ""
    user: str = ""
    password: str = ""
    password_file: str = ""
    password_env: str = ""
    """The environment variable that holds the password."""
    auth: str = ""
    """plain, login, cram-md5 or xoauth2; empty: what the server offers."""
    token_file: str = ""
    """File with an OAuth token, read for each sign-in (XOAUTH2)."""
    token_command: str = ""
    """Command that prints an OAuth token; asked again when the token was refused."""
    insecure_auth: bool = False
    """Sign in without verified TLS: the password can be read on the way."""
    source_address: str = ""
    """The local address to connect from."""
    ehlo_name: str = ""
    """Empty: this host's."""
    connections: int = 10
    """Open at once, for each worker process."""
    messages_per_connection: int = 1000
    max_age_seconds: float = 300.0
    """A connection older than this takes no further message."""
    idle_seconds: float = 30.0
    rate: float = 0.0
    """Legs a second over all workers; 0: no limit."""
    send_ahead: bool = True
    """Send the next envelope along with a message's data, where the server has PIPELINING."""
    min_bytes_per_second: float = 500.0
    """A server that takes a message slower than this is given up."""
    dsn: str = "failure"
    """What to ask bounces for where the server has DSN: failure, failure,delay, never or off."""
    dkim: Switch = "on"
    """off: not signed here, because the relay signs or must not see a signature."""
    dkim_skip_headers: tuple[str, ...] = ()
    """Headers this relay rewrites (often Date and Message-ID), so not to be signed."""
    timeouts: TimeoutSettings = TimeoutSettings()

    def __repr__(self) -> str:
        """Without the password, and the URL that may hold one."""
        return f"RelaySettings(name={self.name!r}, host={self.host!r})"


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One route: which mail it is for, and where that goes. The first that matches decides.

    Of a list one entry must match; an empty list matches everything. `*` stands for anything; in
    domains only in front, `*.example.com`, for what is below it.
    """

    name: str = ""
    relay: str = ""
    """The relay's name."""
    relays: tuple[str, ...] = ()
    """Instead: a pool. The first of these that is not in trouble or suspended gets the mail."""
    weights: tuple[int, ...] = ()
    """One for each of `relays`: every one gets its share instead."""
    direct: bool = False
    """Instead: to the MX hosts of the recipients' domains, as `[direct]` says."""
    tls: str = ""
    """With `direct`: what `direct.tls` is for this route."""
    applications: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """One of the message's tags must match."""
    sender_domains: tuple[str, ...] = ()
    """Of the From address."""
    recipient_domains: tuple[str, ...] = ()
    """Each recipient is routed by itself."""
    sites: tuple[str, ...] = ()
    """MX hosts: every host that the recipient's domain has must match one of these. A worker asks
    DNS, and goes through the routes then."""
    source_address: str = ""
    """The local address to connect from, instead of the relay's."""
    ehlo_name: str = ""
    """What to greet with, instead of the relay's."""
    verp: Switch = "on"
    """off: MAIL FROM is what the message says, also where `bounces.domains` is set."""


class DirectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mail that goes straight to its recipients' MX hosts: how sessions there are."""

    connections: int = 10
    """Open at once to one site, for each worker process."""
    sessions: int = 200
    """Open at once to all sites that a worker process plans for: it works twice as many legs."""
    messages_per_connection: int = 100
    max_age_seconds: float = 300.0
    """A connection older than this takes no further message."""
    idle_seconds: float = 5.0
    port: int = 25
    """Of the MX hosts; another one is for tests."""
    tls: str = "opportunistic"
    """opportunistic: unverified, plain text where there is none; required: verified or not sent."""
    mta_sts: bool = True
    """Obey the MTA-STS policies of domains (RFC 8461)."""
    mta_sts_port: int = 443
    """Of the policies' hosts; another one is for tests."""
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's, for MX and policy hosts."""
    ehlo_name: str = ""
    """Empty: this host's."""
    send_ahead: bool = True
    """Send the next envelope along with a message's data, where the server has PIPELINING."""
    min_bytes_per_second: float = 500.0
    """A server that takes a message slower than this is given up."""
    dkim: Switch = "on"
    """off: not signed here."""
    timeouts: TimeoutSettings = TimeoutSettings()


class DnsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS, for mail that goes straight to its recipients' mail hosts (MX)."""

    servers: tuple[str, ...] = ()
    """Addresses of recursive servers; empty: the system's."""
    port: int = 53
    """Of these servers."""
    timeout_seconds: float = 5.0
    """For one question, however many servers and tries it takes."""
    allow_networks: tuple[str, ...] = ()
    """Networks that mail may go to though they are private, such as `10.0.0.0/8`."""


class DkimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signing key; several of a domain sign together, one of each algorithm."""

    domain: str = ""
    """Signs mail whose From is in this domain or below, unless a nearer one has a key."""
    selector: str = ""
    key_file: str = ""
    """PEM file with an RSA key of 2048 bits or more, or an Ed25519 key."""
