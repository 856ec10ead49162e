"""What needs a person now: from what the store tells of itself, the worst first. Pure.

Sites of others that do not take mail are not among it: which of the world's mail hosts are away is
no trouble of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from shared.hops import MX
from shared.store.figures import Depth, Health
from shared.store.operations import Outline, Vitals
from web.console.show import size

MEMORY_WARNS = 0.75
"""Of the memory at which mail is refused: from there on it is told."""
_MOST_NAMES = 3
_DESTINATIONS = "/console/destinations"

REASONS = {
    "starting": "This process has just started and has not looked yet.",
    "store_unreachable": "The store does not answer.",
    "store_loading": "The store has restarted and loads its file. Wait: a gigabyte takes about"
    " ten seconds.",
    "store_read_only": "The store is a replica. Name the primary in store.redis_url.",
    "store_write_error": "The store cannot write its file: look at its disk and its log.",
    "store_replicas": "Fewer replicas follow the store than store.replicas wants.",
    "store_memory": "The store's memory is nearly full. Let mail go, or give it more.",
    "store_disk": "The store's disk is nearly full, or store.data_dir is not there.",
    "events_backlog": "What reads the events has stopped, or is too slow.",
    "health_unknown": "The store's health could not be judged: the log says why.",
}
"""Why mail is refused, in words; `/readyz` has the same codes."""


class Need(msgspec.Struct, frozen=True):
    """One thing that needs a person."""

    code: str
    tone: Literal["bad", "warn"]
    title: str
    text: str = ""
    address: str = ""
    """The page where one acts; empty: it is not done in the console."""
    link: str = ""
    names: tuple[str, ...] = ()
    """Destinations that it is about, the first few."""
    more: int = 0
    """Others that are not named."""


def needs(
    health: Health, depth: Depth, vitals: Vitals, outlines: Sequence[Outline], memory_ratio: float
) -> list[Need]:
    """All of it, the worst first; `memory_ratio`: see `shared.settings.StoreSettings`."""
    found = [
        *_refusing(health),
        *_workers(depth),
        *_kept(depth, vitals),
        *_memory(health, memory_ratio),
        *_aside(depth),
        *_standing(outlines),
    ]
    return sorted(found, key=lambda each: each.tone != "bad")


def _refusing(health: Health) -> Iterator[Need]:
    if health.reasons:
        told = [REASONS.get(each, f"{each}.") for each in health.reasons]
        yield Need("refusing", "bad", "New mail is refused", " ".join(told))


def _workers(depth: Depth) -> Iterator[Need]:
    if depth.live_workers == 0:
        text = "Mail is accepted and waits. Nothing is delivered until a worker runs."
        yield Need("no_workers", "bad", "No worker is running", text)


def _kept(depth: Depth, vitals: Vitals) -> Iterator[Need]:
    if vitals.durable is False:
        text = (
            "It does not write each answer to its disk first, so a crash loses accepted mail. Set"
            " appendonly yes and appendfsync always."
        )
        yield Need("not_durable", "bad", "The store is not durable", text)
    if vitals.evicted_keys:
        text = f"It has dropped {vitals.evicted_keys:,} keys. Set maxmemory-policy noeviction."
        yield Need("evicted", "bad", "The store drops what it should keep", text)
    lost = sum(
        accepted - sum(depth.by_status[name].values()) for name, accepted in depth.accepted.items()
    )
    if lost:
        text = f"Accepted recipients and their statuses differ by {abs(lost):,}."
        yield Need("unaccounted", "bad", "Mail is unaccounted for", text)


def _memory(health: Health, ratio: float) -> Iterator[Need]:
    most = health.max_memory_bytes * ratio
    if most and health.used_memory_bytes > most * MEMORY_WARNS and not health.reasons:
        text = (
            f"{size(health.used_memory_bytes)} are in use. At {size(int(most))} new mail is"
            " refused."
        )
        yield Need("memory", "warn", "The store's memory fills up", text)


def _aside(depth: Depth) -> Iterator[Need]:
    for code, kind, count, one, many, text in (
        ("dead", "dead", depth.dead_legs, "dead letter", "dead letters",
         "They will not be tried again by themselves."),
        ("uncertain", "uncertain", depth.held_legs, "uncertain delivery", "uncertain deliveries",
         "Nobody knows whether the server took them: send them again, or drop them."),
    ):  # fmt: skip
        if count:
            title = f"{count:,} {one if count == 1 else many}"
            yield Need(code, "warn", title, text, f"/console/aside?kind={kind}", "Decide")


def _standing(outlines: Sequence[Outline]) -> Iterator[Need]:
    suspended = [
        each for each in outlines if each.pause is not None and each.pause.kind == "suspended"
    ]
    if suspended:
        yield _about(
            "suspended", suspended, "is suspended", "are suspended",
            "{} there, until somebody resumes it or its time is over.",
            f"{_DESTINATIONS}?state=suspended",
        )  # fmt: skip
    troubled = [
        each
        for each in outlines
        if each.pause is not None and each.pause.kind == "trouble" and not each.hop.startswith(MX)
    ]
    if troubled:
        yield _about(
            "trouble", troubled, "cannot be used", "cannot be used",
            "{} there. It is tried again by itself.",
            f"{_DESTINATIONS}?state=troubled",
        )  # fmt: skip


def _about(
    code: str, rows: Sequence[Outline], is_so: str, are_so: str, text: str, address: str
) -> Need:
    """One line for all of them, by hop: its classes stand still together."""
    names = list(dict.fromkeys(each.hop for each in rows))
    waiting = sum(each.depth for each in rows)
    wait = "1 message waits" if waiting == 1 else f"{waiting:,} messages wait"
    what = f"1 destination {is_so}" if len(names) == 1 else f"{len(names):,} destinations {are_so}"
    return Need(
        code,
        "warn",
        what,
        text.format(wait),
        address,
        "Look",
        tuple(names[:_MOST_NAMES]),
        max(0, len(names) - _MOST_NAMES),
    )
