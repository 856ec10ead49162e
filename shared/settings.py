"""Every setting, with its default and its meaning: frozen structs, one section each.

Values only; `shared.config.load` fills them from the file and the environment. `[[relay]]` and
`[[dkim]]` are lists, `[application.NAME]` is a table by name.
"""

from __future__ import annotations

import msgspec

from shared.classification.settings import ClassificationSettings
from shared.console_settings import ConsoleSettings
from shared.feedback_settings import BounceSettings, FeedbackSettings, UnsubscribeSettings
from shared.model.message import MessageClass
from shared.outgoing_settings import (
    DirectSettings,
    DkimSettings,
    DnsSettings,
    RelaySettings,
    RouteSettings,
)
from shared.shaping.settings import ShapingSettings


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
    recent_messages: int = 1_000_000
    """How many messages the console can list and search, finished or not."""
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
    feedback: FeedbackSettings = FeedbackSettings()
    bounces: BounceSettings = BounceSettings()
    unsubscribe: UnsubscribeSettings = UnsubscribeSettings()
    console: ConsoleSettings = ConsoleSettings()
    inbox: InboxSettings = InboxSettings()
    log: LogSettings = LogSettings()
    sentry: SentrySettings = SentrySettings()
    dkim: tuple[DkimSettings, ...] = ()
    application: dict[str, ApplicationSettings] = {}
    require_dkim: bool = False
    """Refuse a message at accept when there is no key for its From domain."""
    default_class: MessageClass = "transactional"
    classification_file: str = ""
    """Empty: `classification.toml` beside posthaste.toml, where there is one."""
    classification: ClassificationSettings = ClassificationSettings()
    """What stands in that file and in the shipped one; `load` fills it, nothing else sets it."""
    shaping_file: str = ""
    """Empty: `shaping.toml` beside posthaste.toml, where there is one."""
    shaping: ShapingSettings = ShapingSettings()
    """What stands in that file and in the shipped one; `load` fills it, nothing else sets it."""
