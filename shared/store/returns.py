"""The port of what comes back: late news about messages, and mail kept for a look. Blocking.

Any method may raise the `StoreError` family and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, Protocol

import msgspec

from shared.model.leg import Attempt
from shared.model.message import MessageClass, Moment
from shared.model.suppression import Suppression

MOST_CONTENT_BYTES = 64 * 1024
"""Of each mail that is kept."""
MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of all mail that is kept."""

NewsKind = Literal["bounced", "complained", "unsubscribed"]
"""Also the names of the events."""


class News(msgspec.Struct, frozen=True):
    """Something that is now known of one recipient's copy of one message."""

    kind: NewsKind
    message_id: bytes
    """16 bytes; empty for an unsubscription, which is of a list."""
    mark: bytes
    """What tells the recipients of a message apart when its record is gone (`Reference.mark`)."""
    application: str
    message_class: MessageClass
    site: str
    """A provider's name, or `other`."""
    event: bytes
    """Payload of the event, msgpack."""
    recipient: int | None = None
    """Index in `Head.recipients`, while the record is there; None: it is gone, or not known."""
    attempt: Attempt | None = None
    """`bounced`: what is added to the leg's history (`shared.store.news.late_bounce`), also when no
    status changes."""
    suppressions: tuple[Suppression, ...] = ()


class Came(Enum):
    """What came of news."""

    CHANGED = "changed"
    """The recipient's status is bounced now."""
    NOTED = "noted"
    """Event, figures and suppressions only: no status was to change, or the record is gone."""
    REPEATED = "repeated"
    """The same kind of news of the same copy came before: no event, no figures."""


class Returned(msgspec.Struct, frozen=True):
    """Mail that came back and could not be matched, or is for people."""

    id: str
    at_ms: Moment
    reason: str
    """Fixed words: `postmaster`, `abuse`, `no_token`, `bad_token`, `expired`, `no_report`, ..."""
    sender: str
    """MAIL FROM; empty for the null sender."""
    recipient: str
    subject: str
    size_bytes: int
    """Of the whole message."""
    content: bytes = b""
    """Its beginning, at most `MOST_CONTENT_BYTES`; empty in lists."""


class Returns(Protocol):
    """What came back."""

    def news(self, news: News) -> Came:
        """One script: status (delivered or uncertain to bounced), history, event, figures,
        suppressions, and that it was told, which is remembered for `feedback.valid_days`.

        Of a message, or a leg of it, that is gone or cannot be read it is noted. A recipient who
        is queued or deferred stays so, because another copy is on its way to him (the suppression
        stops that one); but when a claim that has begun by then tells that his mail is delivered
        or uncertain, however late, he is bounced from then on. All copies have the same reference:
        who has had another one since he was told of is bounced by a repeated report, with an event,
        and without counting again. An unsubscription that was told before is not
        repeated when its suppression is gone: he has subscribed again meanwhile. One that cannot
        be put on the suppression list is an error: whoever unsubscribed must not hear that it was.
        """
        ...

    def keep(self, mail: Returned, most: int) -> None:
        """Keep mail for a look; of more than `most`, or `MOST_KEPT_BYTES`, the oldest go.

        The same id twice is one. Long texts and contents are cut.
        """
        ...

    def kept(self, limit: int) -> Sequence[Returned]:
        """The last ones first, without their content."""
        ...

    def kept_count(self) -> int:
        """How many there are."""
        ...

    def kept_one(self, identifier: str) -> Returned | None:
        """One, with its content."""
        ...

    def drop_kept(self, identifier: str | None) -> int:
        """Remove one, or all (None); how many there were."""
        ...

    def outcomes(self, days: int) -> dict[tuple[str, MessageClass, str, str], int]:
        """(application, class, site, what) -> recipients, over the last so many days, UTC, today
        the first, at most 35; 0: since ever. What: `shared.store.outcomes.What`."""
        ...
