"""What every view needs: the services, the authenticator and admission of this process."""

from __future__ import annotations

import msgspec
from flask import Request

from shared.model.message import CLASSES
from shared.services import Services
from shared.store.ports import ApiKey
from web.admission import Admission
from web.auth import Authenticator
from web.validation import Policy


class Context(msgspec.Struct, frozen=True):
    """Built once by `create_app`."""

    services: Services
    authenticator: Authenticator
    admission: Admission

    def key(self, request: Request) -> ApiKey:
        """The request's API key. Raises `Problem` 401."""
        return self.authenticator.key(request)

    def policy(self, key: ApiKey) -> Policy:
        """What applies to a request with this key."""
        return Policy(
            settings=self.services.settings,
            application=key.application,
            from_domains=key.from_domains,
            classes=key.classes or CLASSES,
            now_ms=self.services.clock.now_ms(),
        )
