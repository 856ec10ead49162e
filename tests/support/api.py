"""The ingest API on the in-memory store, without a network; its answers are as it is described."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from shared.api_keys import generate
from shared.clock import ManualClock
from shared.model.message import CLASSES, MessageClass
from shared.services import Services
from shared.settings import Settings
from shared.store.keys import Scope
from shared.store.memory import MemoryStore
from tests.support.described import DescribedClient
from web.app import create_app, create_context, create_operator_app


class Api:
    """A client with a key, and the store behind it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = ManualClock()
        self.store = MemoryStore(self.settings, self.clock)
        store = self.store
        self.services = Services(
            self.settings,
            self.clock,
            store.spool,
            store.keys,
            store.operations,
            store.suppressions,
            store.returns,
            store.records,
            store.recent,
            store.samples,
        )
        self.context = create_context(self.services)
        self.app = create_app(self.settings, self.services, self.context)
        self.app.config["DESCRIBED"] = self.settings.web
        self.app.test_client_class = DescribedClient
        self.client: FlaskClient = self.app.test_client()
        self.operator: FlaskClient = create_operator_app(
            self.settings, self.services, self.context
        ).test_client()
        self.key = self.new_key("shop")

    def new_key(
        self,
        application: str,
        domains: tuple[str, ...] = (),
        classes: tuple[MessageClass, ...] = CLASSES,
        scopes: tuple[Scope, ...] = ("send",),
    ) -> str:
        """Another key."""
        text, stored = generate(application, domains, classes, self.clock, scopes)
        self.store.keys.add(stored)
        return text

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """A request with the key, unless `key` is another one."""
        key = options.pop("key", self.key)
        headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **options)

    def send(self, fields: dict[str, Any], **options: Any) -> Any:
        """POST /v1/messages."""
        return self.ask("POST", "/v1/messages", json=fields, **options)

    def accepted(self) -> int:
        """Recipients accepted so far."""
        return sum(self.store.spool.depth().accepted.values())

    def close(self) -> None:
        """End its threads."""
        self.context.admission.stop()
