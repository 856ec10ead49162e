"""The suppression list as CSV, page by page: `shared.suppressing.importing` reads it back exactly.

UTF-8, a header, CRLF (RFC 4180), times in RFC 3339, `*` in place of an application for everybody's
entries. In no particular order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from shared.model.suppression import Suppression
from shared.store.suppressions import MOST_AT_ONCE, Suppressions
from shared.suppressing.cells import guarded
from shared.suppressing.columns import COLUMNS
from shared.suppressing.entry import entry_shown


def exported(store: Suppressions, application: str | None = None) -> Iterator[bytes]:
    """The file in pieces; of one application, empty for everybody's entries, None for all.

    The header comes with the first page, so that a store that does not answer is told before
    anything is sent. Raises the `StoreError` family between two pieces.
    """
    head, cursor = written([COLUMNS]), ""
    while True:
        page = store.page(cursor, MOST_AT_ONCE, application)
        piece = head + written(_row(entry) for entry in page.entries)
        head, cursor = b"", page.next_cursor
        if piece:
            yield piece
        if not cursor:
            return


def written(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _row(entry: Suppression) -> list[str]:
    shown = entry_shown(entry)
    return [guarded(shown[column] or "") for column in COLUMNS]
