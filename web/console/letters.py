"""Mail of the console itself: links, codes and notices, sent as any other message is.

Takes a `Letter`, gives whether it was accepted. It goes the API's own way: `validate`, then
`accept`, as application `posthaste`, class `critical`, from `console.mail_from`. Codes and links
are not sent after they have ended (`deliver_by`).

A letter's content lets whoever reads it sign in as somebody else. So every page that shows content
must withhold that of `head.application == APPLICATION`, from every role, and `metadata["console"]`
is `private` on each. Nothing of it is logged or audited; a subject has neither code nor name.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from flask import render_template

from shared.errors import StoreError
from shared.ids import new_message_id
from shared.model.message import Message
from shared.times import shown
from web.accept import accept
from web.console.desk import Desk
from web.errors import Problem
from web.validation import Policy, validate

APPLICATION = "posthaste"

_log = structlog.get_logger(__name__)


class Letter(msgspec.Struct, frozen=True):
    """What one says, in paragraphs; `letter_texts` has them."""

    subject: str
    paragraphs: tuple[str, ...]
    link: str = ""
    """Stands after the second paragraph."""
    code: str = ""
    """Stands after the first paragraph."""
    ends_ms: int | None = None
    """When link or code end."""

    @property
    def text(self) -> str:
        """As plain text."""
        first, *others = self.paragraphs
        parts = [first, self.code, *others[:1], self.link, *others[1:]]
        return "\n\n".join(part for part in parts if part) + "\n"


class Letters:
    """Sends them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def can_send(self) -> bool:
        """Whether there is an address to send from (`console.mail_from`)."""
        return bool(self._desk.console.mail_from)

    def send(self, to: str, letter: Letter) -> bool:
        """Have it sent to this address; False where that is not possible now, which is logged."""
        if not self.can_send:
            return False
        policy, metrics = self._desk.policy_of(APPLICATION), self._desk.context.meter.metrics
        validated = validate(self._fields(to, letter), new_message_id(), policy)
        if validated.message is None:
            wrong = [each.pointer for each in (*validated.errors, *validated.forbidden)]
            _log.error("letter_refused", fields=wrong)
            metrics.letter_refused("invalid")
            return False
        why = self._accepted(validated.message, policy)
        if why is not None:
            _log.warning("letter_not_accepted", reason=why)
            metrics.letter_refused("not_accepted")
        return why is None

    def _accepted(self, message: Message, policy: Policy) -> Problem | StoreError | None:
        """Why it was not; None: it was."""
        context = self._desk.context
        try:
            context.admission.check()
            commit = context.meter.metrics.commit
            (receipt,) = accept(context.services.spool, policy, [(message, None)], commit)
        except (Problem, StoreError) as error:
            return error
        return receipt if isinstance(receipt, Problem) else None

    @staticmethod
    def _ends(letter: Letter) -> dict[str, Any]:
        return {} if letter.ends_ms is None else {"deliver_by": shown(letter.ends_ms)}

    def _fields(self, to: str, letter: Letter) -> dict[str, Any]:
        return {
            "from": self._desk.console.mail_from,
            "to": [{"email": to}],
            "subject": letter.subject,
            "text": letter.text,
            "html": render_template("console/letters/letter.html", letter=letter),
            "class": "critical",
            "tags": ["console"],
            "metadata": {"console": "private"},
            **self._ends(letter),
        }
