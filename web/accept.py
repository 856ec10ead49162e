"""From validated messages to receipts: idempotency, legs, quota, spool.

A receipt is a function of the request, the stored id, whether it was scheduled and who was
suppressed, so a replay answers exactly what the first request was answered. Its own status says how
it was accepted: `queued` or `scheduled`, also when everybody is suppressed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from prometheus_client import Histogram

from shared.errors import StoreError
from shared.ids import external, message_id_header
from shared.model.message import Message
from shared.parting import legs_of
from shared.store.ports import Accepted, AcceptKind, Idempotency, Spool, Submission
from shared.store.quotas import Quota, quota_of
from web.errors import Problem, not_accepted, over_quota
from web.validation import Policy

MAX_KEY = 256


class Receipt(msgspec.Struct, frozen=True):
    """What a client is told about an accepted message."""

    body: dict[str, Any]
    replayed: bool = False


def idempotency(application: str, key: str, fields: dict[str, Any]) -> Idempotency:
    """The digests of a key and of the request, whatever its key order and white space."""
    plain = {name: value for name, value in fields.items() if name != "idempotency_key"}
    request = msgspec.msgpack.encode(plain, order="deterministic")
    return Idempotency(
        hashlib.blake2b(f"{application}\0{key}".encode(), digest_size=16).digest(),
        hashlib.blake2b(request, digest_size=16).digest(),
    )


def check_key(key: object) -> bool:
    """Whether an idempotency key is 1 to 256 printable ASCII characters."""
    return isinstance(key, str) and 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()


def accept(
    spool: Spool,
    policy: Policy,
    messages: Sequence[tuple[Message, Idempotency | None]],
    commit: Histogram,
) -> list[Receipt | Problem]:
    """Store the messages; the answers are in order, and `commit` is told what it took."""
    quota = quota_of(policy.settings, policy.application)
    submissions = [
        Submission(message, legs_of(message.head, policy.now_ms, policy.routes), key, quota)
        for message, key in messages
    ]
    began = time.perf_counter()
    try:
        answers = spool.accept(submissions)
    finally:
        commit.observe(time.perf_counter() - began)
    return [
        _receipt(message, answer, quota)
        for (message, _), answer in zip(messages, answers, strict=True)
    ]


def _receipt(
    message: Message, answer: Accepted | Exception, quota: Quota | None
) -> Receipt | Problem:
    if isinstance(answer, StoreError):
        return not_accepted(answer)
    if isinstance(answer, Exception):
        raise answer
    if answer.kind is AcceptKind.MISMATCH:
        return Problem(
            409,
            "idempotency_mismatch",
            "This Idempotency-Key was used for another request.",
        )
    if quota is not None and answer.full is not None:
        return over_quota(quota, answer.full, len(message.head.recipients))
    status = "scheduled" if answer.scheduled else "queued"
    body = {
        "id": external(answer.message_id),
        "status": status,
        "message_id": message_id_header(answer.message_id, message.head.sender.domain),
        "recipients": [
            {
                "address": recipient.email,
                "status": "suppressed" if index in answer.suppressed else status,
            }
            for index, recipient in enumerate(message.head.recipients)
        ],
    }
    return Receipt(body, answer.kind is AcceptKind.REPLAYED)
