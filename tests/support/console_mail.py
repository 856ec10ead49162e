"""Mail in every state, for the tests of what operators see and do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.model.status import Status
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings
from tests.support.console import ConsoleApi
from tests.support.stores import settlement
from tests.support.system import message

RELAYS = tuple(RelaySettings(name=name, url="smtp://127.0.0.1:1") for name in ("relay", "spare"))
ROUTES = (
    RouteSettings(name="pair", relays=("relay", "spare"), tags=("pair",)),
    RouteSettings(name="own", relay="spare", source_address="127.0.0.2", tags=("own",)),
    RouteSettings(name="world", direct=True, tags=("world",)),
)
HOSTILE = "<img src=x onerror=alert(1)>\"'"


def new_console(**console: Any) -> ConsoleApi:
    """A console with two relays, a pool, and mail that goes straight to sites."""
    return ConsoleApi(Settings(relay=RELAYS, route=ROUTES), **console)


def send(api: ConsoleApi, count: int = 1, **fields: Any) -> None:
    """Accept messages."""
    for _ in range(count):
        assert api.send(message(**fields)).status_code == 202


def settle(api: ConsoleApi, status: Status, note: str = "", refusal: str = "") -> None:
    """Claim everything and settle it so."""

    async def work() -> None:
        claim = await api.store.queue.claim("transactional", limit=500, quantum=500)
        done = [settlement(each, status, note=note) for each in claim.legs]
        await api.store.queue.settle(
            [msgspec.structs.replace(each, refusal=refusal) for each in done]
        )

    asyncio.run(work())


def pump(api: ConsoleApi) -> None:
    """A worker is there, and does what is due."""
    asyncio.run(api.store.queue.pump("w1"))


def trouble(api: ConsoleApi, hop: str, reason: str) -> None:
    """A hop could not be used."""
    asyncio.run(api.store.queue.trouble(hop, reason, 60_000, 60_000))


def acts(api: ConsoleApi) -> list[tuple[str, str, dict[str, str]]]:
    """The audit trail: (act, what, details), the oldest first."""
    entries = reversed(api.store.records.trail())
    return [(each.act, each.what, dict(each.details)) for each in entries]
