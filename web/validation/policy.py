"""What applies to one request, as validation is told it."""

from __future__ import annotations

import msgspec

from shared.model.message import MessageClass
from shared.routing import Routes
from shared.settings import Settings


class Policy(msgspec.Struct, frozen=True):
    """What applies to one request: who asks, under which limits, and when."""

    settings: Settings
    application: str
    from_domains: tuple[str, ...]
    classes: tuple[MessageClass, ...]
    now_ms: int
    routes: Routes
    request_id: str = ""
