"""Many messages in one request: each item is validated and accepted by itself."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, Response, g, request

from shared.ids import new_message_id
from shared.model.message import Message
from shared.store.ports import Idempotency
from web.accept import Receipt, accept, check_key, idempotency
from web.answers import answer
from web.errors import FieldError, Problem, invalid
from web.parse import read_json
from web.validation import Policy, validate
from web.validation.message import BATCH_FIELDS
from web.validation.report import escape
from web.views.context import Context
from web.views.messages import refuse


def blueprint(context: Context) -> Blueprint:
    """The route of batches."""
    routes = Blueprint("batches", __name__)
    views = _Views(context)
    routes.post("/v1/messages/batch")(views.submit)
    return routes


class _Views:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._limits = context.services.settings.web

    def submit(self) -> Response:
        """POST /v1/messages/batch."""
        key = self._context.key(request)
        self._context.admission.check()
        if "Idempotency-Key" in request.headers:
            raise Problem(
                400,
                "bad_idempotency_key",
                "In a batch every item carries its own idempotency_key.",
            )
        items = self._items()
        policy = self._context.policy(key)
        results: list[Receipt | Problem | None] = []
        valid: list[tuple[Message, Idempotency | None]] = []
        for item in items:
            checked = self._check(item, policy)
            if isinstance(checked, Problem):
                results.append(checked)
            else:
                results.append(None)
                valid.append(checked)
        metrics = self._context.meter.metrics
        accepted = iter(accept(self._context.services.spool, policy, valid, metrics.commit))
        answers = [next(accepted) if result is None else result for result in results]
        refused = [each.code for each in answers if isinstance(each, Problem)]
        structlog.contextvars.bind_contextvars(
            accepted=len(answers) - len(refused), refused=len(refused)
        )
        self._refuse_whole(answers, len(valid))
        for code in refused:
            metrics.rejected(code)
        request_id = g.get("request_id", "")
        return answer({"results": [_result(each, request_id) for each in answers]}, 202)

    def _items(self) -> list[Any]:
        body = read_json(
            request,
            max_bytes=self._limits.max_request_bytes,
            max_depth=self._limits.max_json_depth,
        )
        errors = [
            FieldError(f"/{escape(name)}", "unknown_field", "A batch has only messages.")
            for name in body
            if name != "messages"
        ]
        items = body.get("messages")
        most = self._limits.max_batch_messages
        if not isinstance(items, list):
            errors.append(FieldError("/messages", "required", "A list of messages."))
        elif not 1 <= len(items) <= most:
            errors.append(FieldError("/messages", "bad_count", f"1 to {most} messages."))
        if errors or not isinstance(items, list):
            raise invalid(errors)
        return items

    def _check(self, item: Any, policy: Policy) -> tuple[Message, Idempotency | None] | Problem:
        if not isinstance(item, dict):
            return invalid([FieldError("", "wrong_type", "Must be an object.")])
        validated = validate(item, new_message_id(), policy, BATCH_FIELDS)
        key = item.get("idempotency_key")
        if key is not None and not check_key(key):
            wrong = FieldError(
                "/idempotency_key", "bad_value", "1 to 256 printable ASCII characters."
            )
            return invalid([*validated.errors, wrong])
        if validated.message is None:
            return refuse(validated, self._limits.max_message_bytes)
        digests = idempotency(policy.application, key, item) if key is not None else None
        return validated.message, digests

    @staticmethod
    def _refuse_whole(answers: list[Receipt | Problem], valid: int) -> None:
        """When the store took none of the valid items, the whole batch is to be sent again."""
        refused = [each for each in answers if isinstance(each, Problem) and each.status == 503]
        if refused and len(refused) == valid:
            raise refused[0]


def _result(each: Receipt | Problem, request_id: str) -> dict[str, Any]:
    if isinstance(each, Problem):
        return {"error": each.body(request_id)}
    return each.body
