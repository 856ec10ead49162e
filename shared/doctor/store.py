"""The store: reachable, new enough, durable, never evicting, with room, and able to run scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.errors import PosthasteError, StoreError
from shared.hosts import is_loopback
from shared.secret_files import redis_password_of
from shared.settings import StoreSettings
from shared.store.connection import SyncRedis, info
from shared.store.scripts import SCRIPTS

LEAST_VERSION = {"redis": (7, 0), "valkey": (8, 0)}
LARGEST_SHARE = 0.7
"""Of the machine's memory: two thirds (deploy/CAPACITY.md), and what a system hides of its own."""
CLOCK_WARNING_SECONDS = 1.0
CLOCK_ERROR_SECONDS = 5.0
_CONF = "set it in the server's configuration file (deploy/redis/redis.conf has it) and restart it"


class Facts(msgspec.Struct, frozen=True):
    """What the server says of itself."""

    info: dict[str, str]
    config: dict[str, str]
    """Empty where CONFIG is not allowed."""
    scripts: str
    """Why a script cannot be loaded; empty when all can."""
    ahead_seconds: float
    """Of its clock, before ours."""


def shown(url: str) -> str:
    """A store's URL without what signs in to it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def check_store(patient: Patient) -> list[Finding]:
    """Everything about the server; one finding when it is away."""
    settings = patient.settings.store
    try:
        facts = await asyncio.to_thread(_ask, settings, patient)
    except (PosthasteError, ValueError) as error:
        told = isinstance(error, PosthasteError)
        reason = str(error) if told else "store.redis_url is no URL"
        return [
            Finding(
                "store.reachable", "error", f"{shown(settings.redis_url)}: {reason}",
                "start the server, or correct store.redis_url. If it does not start, read its log:"
                " after a full disk see disk.store",
            )
        ]  # fmt: skip
    return [
        ok("store.reachable", f"{shown(settings.redis_url)} answers"),
        *(finding for judge in _JUDGES for finding in judge(facts, settings)),
        _clock(facts.ahead_seconds),
    ]


def _ask(settings: StoreSettings, patient: Patient) -> Facts:
    store = SyncRedis(
        settings.redis_url,
        password=redis_password_of(settings),
        timeout_seconds=patient.options.seconds / 3,
    )
    try:
        began = patient.clock.now_ms()
        seconds, micros = store.command("TIME")
        middle = (began + patient.clock.now_ms()) / 2000
        facts = info(store.command("INFO", "everything"))
        return Facts(
            facts, _config(store), _scripts(store), int(seconds) + int(micros) / 1e6 - middle
        )
    finally:
        store.close()


def _config(store: SyncRedis) -> dict[str, str]:
    try:
        found: Sequence[Any] = store.command("CONFIG", "GET", "*")
    except StoreError:
        return {}  # Hosted servers do not let us.
    texts = [each.decode("utf-8", "replace") for each in found]
    wanted = ("appendfsync", "maxmemory-policy", "no-appendfsync-on-rewrite")
    pairs = dict(zip(texts[::2], texts[1::2], strict=True))
    known = {name: pairs.get(name, "") for name in wanted}
    return {**known, "requirepass": "set" if pairs.get("requirepass") else ""}


def _scripts(store: SyncRedis) -> str:
    """Loading runs nothing, and leaves nothing but a cache entry that workers make too."""
    for name, script in sorted(SCRIPTS.items()):
        try:
            store.command("SCRIPT", "LOAD", script.text)
        except StoreError as error:
            return f"{name}: {error}"
    return ""


def _version(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    name = "valkey" if "valkey_version" in facts.info else "redis"
    text = facts.info.get(f"{name}_version", "0.0")
    number = tuple(int(each) for each in text.split(".")[:2] if each.isdigit())
    if number < LEAST_VERSION[name]:
        return [
            Finding("store.version", "error", f"{name} {text} is too old",
                    "run Redis 7 or newer, or Valkey 8 or newer")
        ]  # fmt: skip
    return [ok("store.version", f"{name} {text}")]


def _aof(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    if facts.info.get("aof_enabled") != "1":
        return [
            Finding("store.aof", "error", "there is no append-only file: a restart loses mail",
                    f"appendonly yes: {_CONF}")
        ]  # fmt: skip
    findings = [ok("store.aof", "the append-only file is on")]
    for name, what in (
        ("aof_last_write_status", "written"),
        ("aof_last_bgrewrite_status", "rewritten"),
    ):
        if facts.info.get(name, "ok") != "ok":
            findings.append(
                Finding(f"store.{name}", "error",
                        f"the append-only file could not be {what} the last time",
                        "read the server's log; most often its disk is full: see disk.store")
            )  # fmt: skip
    return findings


def _fsync(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    if not facts.config:
        return [
            Finding("store.fsync", "warning", "CONFIG is not allowed: nobody knows when it syncs",
                    "make sure of appendfsync always and noeviction with whoever runs the server")
        ]  # fmt: skip
    policy = facts.config.get("appendfsync", "")
    if policy != "always":
        return [
            Finding("store.fsync", "error",
                    f"appendfsync is {policy}: a crash loses mail that was answered with 202",
                    f"appendfsync always: {_CONF}")
        ]  # fmt: skip
    if facts.config.get("no-appendfsync-on-rewrite") == "yes":
        return [
            Finding("store.fsync", "error",
                    "no-appendfsync-on-rewrite is yes: nothing is synced during a rewrite",
                    f"no-appendfsync-on-rewrite no: {_CONF}")
        ]  # fmt: skip
    return [ok("store.fsync", "every write is on disk before its answer (appendfsync always)")]


def _eviction(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    policy = facts.info.get("maxmemory_policy") or facts.config.get("maxmemory-policy", "")
    if policy != "noeviction":
        return [
            Finding("store.eviction", "error",
                    f"maxmemory-policy is {policy}: a full store throws mail away",
                    f"maxmemory-policy noeviction: {_CONF}")
        ]  # fmt: skip
    evicted = int(facts.info.get("evicted_keys", 0))
    if evicted:
        return [
            Finding("store.eviction", "warning", f"{evicted} keys were evicted since its start",
                    "mail may be lost: compare posthaste_reconciliation with 0")
        ]  # fmt: skip
    return [ok("store.eviction", "it evicts nothing")]


def _memory(facts: Facts, settings: StoreSettings) -> list[Finding]:
    used = int(facts.info.get("used_memory", 0))
    most = int(facts.info.get("maxmemory", 0))
    system = int(facts.info.get("total_system_memory", 0))
    told = f"{used / 1e6:,.0f} MB used"
    if not most:
        return [
            Finding("store.memory", "warning",
                    f"{told}, and no limit: the system may kill the server when memory runs out",
                    "set maxmemory, to at most two thirds of what the machine has, less if others"
                    " use it too")
        ]  # fmt: skip
    told += f" of {most / 1e6:,.0f} MB"
    if used > most * settings.memory_ratio:
        return [
            Finding("store.memory", "error", f"{told}: no mail is accepted above"
                    f" {settings.memory_ratio:.0%}",
                    "let it drain (`posthaste queue` says what waits), or raise maxmemory")
        ]  # fmt: skip
    if system and most > system * LARGEST_SHARE:
        return [
            Finding("store.memory", "warning", f"{told}; the machine has {system / 1e6:,.0f} MB",
                    "lower maxmemory to two thirds of it: a rewrite of the append-only file needs"
                    " memory too")
        ]  # fmt: skip
    return [ok("store.memory", told)]


def _role(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    if facts.info.get("role", "master") != "master":
        return [
            Finding("store.role", "error", "the server is a replica: it takes no mail",
                    "point store.redis_url to the primary")
        ]  # fmt: skip
    return []


def _protection(facts: Facts, settings: StoreSettings) -> list[Finding]:
    parts = urlsplit(settings.redis_url)
    private = parts.scheme == "unix" or is_loopback(parts.hostname or "")
    if facts.config.get("requirepass") == "" and not private and not parts.username:
        return [
            Finding("store.password", "warning", "the server asks for no password",
                    "set requirepass or an ACL user there, and name a file with the password in"
                    " store.redis_password_file; let nobody else reach its port")
        ]  # fmt: skip
    if not private and parts.scheme == "redis":
        return [
            Finding("store.encryption", "info", "mail travels to the store in plain text",
                    "use rediss:// where the network between is not yours alone")
        ]  # fmt: skip
    return []


def _loadable(facts: Facts, settings: StoreSettings) -> list[Finding]:
    del settings
    if facts.scripts:
        return [
            Finding("store.scripts", "error", f"a script cannot be loaded: {facts.scripts}",
                    "allow SCRIPT, EVAL and EVALSHA to the user of store.redis_url")
        ]  # fmt: skip
    return [ok("store.scripts", f"all {len(SCRIPTS)} scripts load")]


_JUDGES: tuple[Callable[[Facts, StoreSettings], list[Finding]], ...] = (
    _version, _aof, _fsync, _eviction, _memory, _role, _protection, _loadable,
)  # fmt: skip


def _clock(ahead: float) -> Finding:
    told = f"the store's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    remedy = "let both machines follow one time source (chrony, systemd-timesyncd)"
    if abs(ahead) > CLOCK_ERROR_SECONDS:
        return Finding("clock.store", "error", f"{told}: deadlines and schedules are wrong", remedy)
    if abs(ahead) > CLOCK_WARNING_SECONDS:
        return Finding("clock.store", "warning", told, remedy)
    return ok("clock.store", "the store's clock and ours agree within a second")
