"""Delivery status notifications: the groups of a delivery-status part (RFC 3464, RFC 6533).

Forgives what is common: no blank line between groups, too many within one, values without a fold,
recipients without a type, actions of one's own, codes only in the diagnostic.
"""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from workers.returns.diagnostics import one_line, reply_code, status
from workers.returns.fields import Fields, fields_of
from workers.returns.mailboxes import raw, typed
from workers.returns.report import MOST_RECIPIENTS, Action, Told
from workers.returns.trouble import Troubles

FIELDS = frozenset({
    "original-envelope-id", "reporting-mta", "dsn-gateway", "received-from-mta", "arrival-date",
    "original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code",
    "last-attempt-date", "final-log-id", "will-retry-until", "localized-reason",
})  # fmt: skip
_RECIPIENT = frozenset({"original-recipient", "final-recipient", "x-actual-recipient"})
_OUTCOME = frozenset({"action", "status", "diagnostic-code"})
_BLANK = re.compile(rb"\n[ \t]*(?:\n[ \t]*)*\n")
_AGAIN = re.compile(rb"\nfinal-recipient[ \t]*:", re.IGNORECASE)
_WORD = re.compile(r"[\s\"'(]*([A-Za-z]+)")
_COMMENT = re.compile(r"\([^()]{0,500}\)")

_ACTIONS: dict[str, Action] = {
    "failed": "failed", "failure": "failed", "fail": "failed", "expired": "failed",
    "error": "failed",
    "denied": "failed", "rejected": "failed", "bounced": "failed", "undeliverable": "failed",
    "delayed": "delayed", "delay": "delayed", "deferred": "delayed", "warning": "delayed",
    "delivered": "delivered", "deliverable": "delivered", "success": "delivered", "ok": "delivered",
    "relayed": "relayed", "expanded": "expanded",
}  # fmt: skip
_BY_CLASS: dict[str, Action] = {"5": "failed", "4": "delayed", "2": "delivered"}
_MOST_GROUPS = 10 * MOST_RECIPIENTS
"""Blocks that are looked at: some are empty, or belong to the one before."""


class Status(msgspec.Struct, frozen=True):
    """What a delivery-status part says."""

    recipients: tuple[Told, ...]
    also: tuple[str, ...]
    """Addresses that are not in them: of values that can be read in two ways."""
    reporting_mta: str
    arrival: str


def read_status(body: bytes, troubles: Troubles) -> Status:
    """The groups of a delivery-status part's content."""
    groups = _groups(body, troubles)
    told: list[Told] = []
    also: list[str] = []
    for group in groups:
        if len(told) >= MOST_RECIPIENTS:
            troubles.add("too_many_recipients")
            break
        if group.has(_RECIPIENT) or group.has(_OUTCOME):
            told.append(_told(group, troubles))
            also += [raw(group.first("original-recipient")), raw(group.first("x-actual-recipient"))]
    if not told:
        troubles.add("no_recipient")
    of_message = next((group for group in groups if "reporting-mta" in group), Fields())
    return Status(
        tuple(told),
        tuple(filter(None, also)),
        host(of_message.first("reporting-mta")),
        of_message.first("arrival-date")[:100],
    )


def _groups(body: bytes, troubles: Troubles) -> list[Fields]:
    """The blocks, with those put together that a blank line has torn apart."""
    groups: list[Fields] = []
    for block in _blocks(body):
        if len(groups) >= _MOST_GROUPS:
            troubles.add("too_many_recipients")
            break
        group = fields_of(block, troubles, FIELDS)
        if not len(group):
            continue
        last = groups[-1] if groups else None
        torn = last is not None and last.has(_RECIPIENT) and not last.has(("action", "status"))
        if last is not None and torn and not group.has(_RECIPIENT) and group.has(_OUTCOME):
            last.update(group)
        else:
            groups.append(group)
    return groups


def _blocks(body: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    for block in _BLANK.split(b"\n" + body.strip() + b"\n", _MOST_GROUPS + 1):
        block = b"\n" + block
        marks = [found.start() for found in _AGAIN.finditer(block)]
        if len(marks) < 2:
            blocks.append(block)
            continue
        cuts = [0, *marks[1:_MOST_GROUPS], len(block)]  # No blank line between recipients.
        blocks += [block[a:b] for a, b in pairwise(cuts)]
        if len(blocks) > _MOST_GROUPS:
            break
    return blocks


def _told(group: Fields, troubles: Troubles) -> Told:
    final = typed(group.first("final-recipient"))
    original = typed(group.first("original-recipient"))
    if not final and not original:
        final = typed(group.first("x-actual-recipient"))
        if not final:
            troubles.add("no_recipient")
    kind, semicolon, words = group.first("diagnostic-code").partition(";")
    if not semicolon or len(kind) > 40 or " " in kind.strip():
        kind, words = "", group.first("diagnostic-code")
    code = reply_code(words)
    enhanced = status(group.first("status"), words)
    if not enhanced:
        troubles.add("no_status")
    return Told(
        final_recipient=final,
        original_recipient=original,
        action=_action(group.first("action"), enhanced, code, troubles),
        status=enhanced,
        code=code,
        diagnostic_type=kind.strip().lower(),
        diagnostic=one_line(words),
        remote_mta=host(group.first("remote-mta")),
    )


def _action(value: str, enhanced: str, code: int, troubles: Troubles) -> Action:
    found = _WORD.match(value)
    action = _ACTIONS.get(found[1].lower(), "") if found else ""
    if action:
        if (action, enhanced[:1]) in (("failed", "2"), ("delivered", "5"), ("delivered", "4")):
            troubles.add("contradiction")
        return action
    troubles.add("unknown_action" if value else "no_action")
    return _BY_CLASS.get(enhanced[:1] or str(code)[:1], "")


def host(value: str) -> str:
    """The host of `dns; mx.example.com (comment)`."""
    bare = _COMMENT.sub(" ", value[:1000]).rpartition(";")[2].split()
    return bare[0].strip("<>[]").rstrip(".")[:255] if bare else ""
