"""What can be malformed in a message that comes back, in fixed words: for logs, figures and tests.

None of it stops reading: what can be read is read.
"""

from __future__ import annotations

from typing import Literal

Trouble = Literal[
    "too_long", "header_too_long", "too_many_fields", "bad_header_line", "too_many_parts",
    "too_deep", "no_boundary", "wrong_boundary", "no_end_boundary", "undeclared_multipart",
    "part_too_long", "bad_encoding", "bad_charset", "unfolded_field", "too_many_recipients",
    "no_action", "unknown_action", "no_status", "contradiction", "no_recipient",
    "undeclared_status", "no_status_part", "no_feedback_type", "several_feedback_types",
    "report_in_report", "too_many_addresses",
]  # fmt: skip


class Troubles:
    """Collects them while one message is read."""

    def __init__(self) -> None:
        self._found: set[Trouble] = set()

    def add(self, what: Trouble) -> None:
        """Note it; once is enough."""
        self._found.add(what)

    def told(self) -> tuple[str, ...]:
        """All that was found, sorted."""
        return tuple(sorted(self._found))
