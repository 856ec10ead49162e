"""What every view needs: the services, the authenticator and admission of this process."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Request, g

from shared.classification.told import Told
from shared.feedback.tokens import Tokens
from shared.model.message import CLASSES
from shared.routing import Routes
from shared.services import Services
from shared.shaping.shaping import Shaping
from shared.store.keys import ApiKey, Scope
from web.admission import Admission
from web.auth import Authenticator
from web.errors import Problem, invalid
from web.measure import Meter
from web.parse import read_json
from web.validation import Policy
from web.validation.report import Report


class Context(msgspec.Struct, frozen=True):
    """Built once by `create_app`."""

    services: Services
    authenticator: Authenticator
    admission: Admission
    meter: Meter
    routes: Routes
    tokens: Tokens | None
    """None: there is no key, so there are no links."""
    shaping: Shaping
    told: Told
    """What kept replies mean."""

    def key(self, request: Request, scope: Scope = "send") -> ApiKey:
        """The request's API key. Raises `Problem` 401, or 403 when it lacks the scope."""
        key = self.authenticator.key(request)
        if scope not in key.scopes:
            raise Problem(403, "missing_scope", f"The API key needs the scope {scope}.")
        return key

    def fields(self, request: Request, *, optional: bool = False) -> dict[str, Any]:
        """The request's body as an object; where it is `optional`, none is an empty one.

        Raises `Problem`.
        """
        # A type without a body is what clients send that always say what they talk.
        if optional and not request.content_length and "Transfer-Encoding" not in request.headers:
            return {}
        limits = self.services.settings.web
        found: dict[str, Any] = read_json(
            request, max_bytes=limits.max_request_bytes, max_depth=limits.max_json_depth
        )
        return found

    @staticmethod
    def no_query(request: Request) -> None:
        """Raise a `Problem` 422 for a query: what would be ignored is a mistake."""
        found = Report()
        found.only(request.args, ())
        if found.errors:
            raise invalid(found.errors)

    def policy(self, key: ApiKey) -> Policy:
        """What applies to a request with this key."""
        return Policy(
            settings=self.services.settings,
            application=key.application,
            from_domains=key.from_domains,
            classes=key.classes or CLASSES,
            now_ms=self.services.clock.now_ms(),
            routes=self.routes,
            request_id=g.get("request_id", ""),
        )
