"""Every setting, with its default and its meaning: frozen structs, one section each.

Values only; `shared.config.load` fills them from the file and the environment. `[[relay]]` and
`[[dkim]]` are lists, `[application.NAME]` is a table by name.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.model.message import MessageClass

Switch = Literal["on", "off"] | bool


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis or Valkey, the spool."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    """`redis://`, `rediss://` or `unix:///path`."""
    redis_password_file: str = ""
    """File with the store's password in its first line, instead of one in `redis_url`."""
    timeout_seconds: float = 1.5
    """How long web waits for one answer before it says 503."""
    replicas: int = 0
    """Replicas that have a message on disk before its 202 (Redis 7.2, Valkey 8, or newer)."""
    data_dir: str = ""
    """The store's data directory, when it is on this machine: its free disk is watched."""
    disk_reserve_bytes: int = 256 * 1024 * 1024
    memory_ratio: float = 0.8
    """Nothing is accepted above this share of `maxmemory`."""
    retention_seconds: int = 86_400
    """How long a finished message can still be looked up."""
    retention_messages: int = 1_000_000
    events_max: int = 100_000
    """Events kept while no recorder reads them."""

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"StoreSettings(redis_password_file={self.redis_password_file!r})"


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ingest tier and its limits."""

    listen: str = "127.0.0.1:8025"
    operator_listen: str = "127.0.0.1:8026"
    """Metrics; never public."""
    processes: int = 2
    threads: int = 16
    max_message_bytes: int = 10 * 1024 * 1024
    max_request_bytes: int = 32 * 1024 * 1024
    max_batch_messages: int = 1000
    max_recipients_per_field: int = 50
    max_header_bytes: int = 64 * 1024
    max_attachments: int = 100
    max_json_depth: int = 25
    max_tags: int = 20
    max_metadata_keys: int = 50
    max_schedule_seconds: int = 90 * 86_400
    drain_seconds: float = 0.0
    """How long a web instance that is told to stop still serves, while /readyz says 503."""
    key_cache_seconds: float = 2.0
    """How long a revoked key may still be honoured."""


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The delivery tier."""

    listen: str = ""
    """Where a worker tells its metrics and its health; empty: nowhere. Never public."""
    legs_in_hand: int = 0
    """Legs one worker process holds at once; 0: as its connections need, and at least 400."""
    quantum: int = 50
    """Legs taken of one destination before the next has its turn."""
    lease_seconds: float = 6.0
    lease_margin_seconds: float = 1.0
    """A transaction does not begin, nor end, this close to the end of its lease."""
    critical_share: float = 0.2
    """Share of the legs in hand, and of a relay's connections, kept for class critical."""
    stop_seconds: float = 20.0
    """How long a stopping worker lets transactions finish."""
    max_crashes: int = 3


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
    source_address: str = ""
    """The local address to connect from, instead of the relay's."""
    ehlo_name: str = ""
    """What to greet with, instead of the relay's."""


class DkimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signing key; several of a domain sign together, one of each algorithm."""

    domain: str = ""
    """Signs mail whose From is in this domain or below, unless a nearer one has a key."""
    selector: str = ""
    key_file: str = ""
    """PEM file with an RSA key of 2048 bits or more, or an Ed25519 key."""


class ApplicationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What applies to the messages of one application."""

    return_path: str = ""
    """MAIL FROM of messages that do not say; empty: the From address."""
    weight: int = 1
    """Its share of what a destination takes, beside other applications' there: 1 to 100."""
    quota_per_minute: int = 0
    """Recipients accepted in each minute of the clock; 0: no limit."""
    quota_per_day: int = 0
    """Recipients accepted in each day, UTC; 0: no limit."""
    quota_per_month: int = 0
    """Recipients accepted in each calendar month, UTC; 0: no limit."""


class ClassRetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a class has of its own."""

    schedule_seconds: tuple[float, ...] = ()
    """Empty: that of all classes."""
    give_up_seconds: int = 0
    """0: that of all classes."""


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a deferred message is tried again."""

    schedule_seconds: tuple[float, ...] = (60, 300, 900, 1800, 3600, 3600, 3600, 7200)
    """Waits after the first, second, ... attempt; the last one repeats."""
    give_up_seconds: int = 5 * 86_400
    jitter: float = 0.1
    """Each wait is stretched by up to this share."""
    critical: ClassRetrySettings = ClassRetrySettings()
    transactional: ClassRetrySettings = ClassRetrySettings()
    bulk: ClassRetrySettings = ClassRetrySettings()

    def schedule_of(self, message_class: MessageClass) -> tuple[float, ...]:
        """The waits of a class, in seconds."""
        return self._of(message_class).schedule_seconds or self.schedule_seconds

    def give_up_of(self, message_class: MessageClass) -> int:
        """Seconds after which a message of a class expires."""
        return self._of(message_class).give_up_seconds or self.give_up_seconds

    def _of(self, message_class: MessageClass) -> ClassRetrySettings:
        found: ClassRetrySettings = getattr(self, message_class)
        return found


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


class ExporterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exporter: the store's numbers for Prometheus."""

    listen: str = "127.0.0.1:8028"
    """Never public."""
    certificates: tuple[str, ...] = ()
    """PEM files whose end is told."""


class InboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local inbox that captures mail instead of sending it on."""

    smtp_listen: str = "127.0.0.1:2525"
    listen: str = "127.0.0.1:8027"
    directory: str = ".posthaste/inbox"
    max_messages: int = 1000
    max_message_bytes: int = 25 * 1024 * 1024


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    level: str = "info"
    format: str = "json"
    """json or text."""
    addresses: str = "hash"
    """How a recipient's address is written: hash (keyed), plain or off."""
    address_key: str = ""
    """The hash's key, of 16 characters or more; empty: another one for each process."""
    address_key_file: str = ""
    """File with that key in its first line."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"LogSettings(level={self.level!r}, format={self.format!r})"


class SentrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Error reports; off without a DSN."""

    dsn: str = ""
    dsn_file: str = ""
    """File with the DSN in its first line, instead of `dsn`."""
    environment: str = "production"
    release: str = ""
    """Empty: this version of Posthaste."""

    def __repr__(self) -> str:
        """Without the DSN, which has a key in it."""
        return f"SentrySettings(environment={self.environment!r})"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; one section a field."""

    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    worker: WorkerSettings = WorkerSettings()
    exporter: ExporterSettings = ExporterSettings()
    relay: tuple[RelaySettings, ...] = (RelaySettings(url="smtp://127.0.0.1:2525"),)
    route: tuple[RouteSettings, ...] = ()
    direct: DirectSettings = DirectSettings()
    retry: RetrySettings = RetrySettings()
    dns: DnsSettings = DnsSettings()
    inbox: InboxSettings = InboxSettings()
    log: LogSettings = LogSettings()
    sentry: SentrySettings = SentrySettings()
    dkim: tuple[DkimSettings, ...] = ()
    application: dict[str, ApplicationSettings] = {}
    require_dkim: bool = False
    """Refuse a message at accept when there is no key for its From domain."""
    default_class: MessageClass = "transactional"
