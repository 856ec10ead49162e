"""Everything about how mail leaves that can be changed while workers run: relays and DKIM keys.

`outgoing_from` checks all of it and reads the secrets; a wrong entry is a `ConfigError` with the
remedy. Workers call it at their start and on SIGHUP, `posthaste up` and `posthaste reload` before.
"""

from __future__ import annotations

import msgspec

from shared.dkim import Keys, keys_from
from shared.errors import ConfigError
from shared.relays import Relay, relays_from
from shared.settings import Settings
from shared.tls import client_context


class Outgoing(msgspec.Struct, frozen=True):
    """Relays in order, the first being where mail goes, and the signing keys by domain."""

    relays: tuple[Relay, ...]
    keys: Keys


def outgoing_from(settings: Settings) -> Outgoing:
    """What the settings say now; files are read anew. Raises `ConfigError`."""
    client_context.cache_clear()
    found = Outgoing(relays_from(settings.relay), keys_from(settings.dkim))
    if settings.require_dkim and not found.relays[0].signed:
        raise ConfigError(
            f"require_dkim needs signing, which relay {found.relays[0].name} turns off:"
            ' set its dkim to "on", or leave require_dkim out'
        )
    return found
