"""One message: submit, look, cancel, reschedule."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, Response, request

from shared import report
from shared.ids import external, new_message_id, parse_external
from shared.store.keys import ApiKey
from shared.store.ports import ChangeKind, Stored
from web import changes
from web.accept import accept, check_key, idempotency
from web.answers import answer
from web.errors import Problem, invalid
from web.validation import Validated, validate
from web.validation.report import Report, escape
from web.views.context import Context


def blueprint(context: Context) -> Blueprint:
    """The routes under /v1/messages."""
    routes = Blueprint("messages", __name__)
    views = _Views(context)
    routes.post("/v1/messages")(views.submit)
    routes.get("/v1/messages/<identifier>")(views.look)
    routes.post("/v1/messages/<identifier>/cancel")(views.cancel)
    routes.patch("/v1/messages/<identifier>")(views.reschedule)
    return routes


def refuse(validated: Validated, max_bytes: int) -> Problem:
    """The problem of a message that is not accepted."""
    if validated.errors:
        return invalid(validated.errors)
    if validated.too_large:
        return Problem(413, "message_too_large", f"A message may have {max_bytes} bytes.")
    first = validated.forbidden[0]
    return Problem(403, first.code, first.detail, errors=validated.forbidden)


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._limits = context.services.settings.web
        self._spool = context.services.spool

    def submit(self) -> Response:
        """POST /v1/messages."""
        key = self._context.key(request)
        self._context.admission.check()
        client_key = request.headers.get("Idempotency-Key")
        if client_key is not None and not check_key(client_key):
            raise Problem(
                400, "bad_idempotency_key", "Idempotency-Key is 1 to 256 printable characters."
            )
        fields = self._context.fields(request)
        policy = self._context.policy(key)
        validated = validate(fields, new_message_id(), policy)
        if validated.message is None:
            raise refuse(validated, self._limits.max_message_bytes)
        digests = idempotency(key.application, client_key, fields) if client_key else None
        commit = self._context.meter.metrics.commit
        (receipt,) = accept(self._spool, policy, [(validated.message, digests)], commit)
        if isinstance(receipt, Problem):
            raise receipt
        structlog.contextvars.bind_contextvars(message_id=receipt.body["id"])
        response = answer(receipt.body, 202)
        if receipt.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def look(self, identifier: str) -> Response:
        """GET /v1/messages/{id}."""
        key = self._context.authenticator.key(request)
        stored = self._find(identifier, key, others="operate" in key.scopes)
        return answer(report.message(stored, self._context.routes, self._context.told))

    def _own(self, key: ApiKey, identifier: str) -> Stored:
        """The message, if it is this application's; 404 otherwise, whoever else's it may be."""
        return self._find(identifier, key, others=False)

    def _find(self, identifier: str, key: ApiKey, *, others: bool) -> Stored:
        message_id = parse_external(identifier)
        if message_id is not None:
            structlog.contextvars.bind_contextvars(message_id=identifier)
        stored = None if message_id is None else self._spool.get(message_id)
        if stored is None or not (others or stored.head.application == key.application):
            raise changes.gone()
        return stored

    def cancel(self, identifier: str) -> Response:
        """POST /v1/messages/{id}/cancel."""
        stored = self._own(self._context.key(request), identifier)
        return self._changed(changes.cancel(self._context.services, stored), stored.id)

    def reschedule(self, identifier: str) -> Response:
        """PATCH /v1/messages/{id}."""
        stored = self._own(self._context.key(request), identifier)
        send_at = self._send_at(self._context.fields(request), stored)
        kind = changes.reschedule(self._context.services, stored, send_at)
        return self._changed(kind, stored.id)

    def _send_at(self, fields: dict[str, Any], stored: Stored) -> int:
        found = Report()
        for name in fields:
            if name != "send_at":
                found.add(f"/{escape(name)}", "unknown_field", "Only send_at can be changed.")
        if "send_at" not in fields:
            found.add("/send_at", "required", "The new time.")
            raise invalid(found.errors)
        send_at = changes.send_at_of(fields["send_at"], self._context.services, stored, found)
        if found.errors or send_at is None:
            raise invalid(found.errors)
        return send_at

    def _changed(self, kind: ChangeKind, message_id: bytes) -> Response:
        stored = self._spool.get(message_id)
        if stored is None or kind is ChangeKind.NOT_FOUND:
            raise changes.gone()
        problem = changes.refusal(kind, stored)
        if problem is not None:
            raise problem
        return answer({"id": external(message_id), "recipients": report.statuses(stored)})
