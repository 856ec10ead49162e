"""CSV into the suppression list: row by row, in bounded memory, each bad row named.

Good rows are imported whatever is wrong with others; with `strict` nothing is when any row is bad.
The same file twice puts nothing more on the list: what was interrupted is simply run again.
What is said of a bad row never repeats what stood in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from shared.errors import StoreError, StoreFull, StoreUnavailable
from shared.model.suppression import Reason, Suppression
from shared.store.suppressions import Suppressions
from shared.suppressing.columns import Header, fields_of, header_of
from shared.suppressing.entry import Asking, Wrong, entry_of
from shared.suppressing.records import Broken, Records

PIECE_BYTES = 65_536
STEP = 500
"""Entries that are put on the list at once: as many as one script takes, so that none of them is
there when the store has refused it."""
_BEGINNINGS = (
    ((b"\xff\xfe", b"\xfe\xff"), "It is UTF-16: save it as UTF-8 (in Excel, CSV UTF-8)."),
    ((b"PK\x03\x04",), "It is a spreadsheet or an archive: save it as CSV."),
    ((b"\x1f\x8b",), "It is compressed: unpack it first."),
)


class Options(msgspec.Struct, frozen=True):
    """How a file is read."""

    asking: Asking
    reason: Reason | None = None
    """Of rows that say none; None: by whose export it is, else `manual`."""
    list: str = ""
    """Of rows that say none."""
    strict: bool = False
    dry_run: bool = False
    ignore_columns: bool = False
    """Whether columns that nobody knows are passed by."""


class BadRow(msgspec.Struct, frozen=True):
    """One thing that is wrong with one row."""

    row: int
    """The line of the file it begins in; the header is in 1."""
    column: str
    """As the file calls it; empty: the whole row."""
    code: str
    detail: str


class Imported(msgspec.Struct):
    """What came of it so far."""

    rows: int = 0
    """Read, without the header and empty lines."""
    imported: int = 0
    """New on the list."""
    unchanged: int = 0
    """Were on the list before, so that it has no more of them now. What they say (why, how long)
    is what the file says, where the list's rules let it replace what was there."""
    expired: int = 0
    """Ended before now, so that they were passed by."""
    bad_rows: int = 0
    refused: list[Wrong] = []
    """Why the file as a whole is none that can be read; empty when it is."""
    interrupted: str = ""
    """Why the store went away in the middle; empty when it did not."""
    in_doubt: int = 0
    """Interrupted: at most so many more entries may have been imported."""

    @property
    def good(self) -> int:
        """Rows that are imported, or would be."""
        return self.rows - self.bad_rows - self.expired


class Import:
    """One import, to be run once."""

    def __init__(
        self,
        store: Suppressions,
        options: Options,
        bad: Callable[[BadRow], None],
        progress: Callable[[Imported], None] = lambda told: None,
    ) -> None:
        """`bad` is called with each bad thing of each row, `progress` from time to time."""
        self._store = store
        self._options = options
        self._bad = bad
        self._progress = progress
        self.told = Imported()

    def run(self, pieces: Callable[[], Iterable[bytes]]) -> Imported:
        """Read it; with `strict` twice. Raises the `StoreError` family when nothing was done."""
        told, options = self.told, self._options
        if options.strict or options.dry_run:
            for _ in self._entries(pieces()):
                pass
            if options.dry_run or told.bad_rows or told.refused:
                return told
            self.told = told = Imported()
        waiting: list[Suppression] = []
        for entry in self._entries(pieces()):
            waiting.append(entry)
            if len(waiting) == STEP:
                if not self._add(waiting):
                    return told
                waiting = []
        if waiting:
            self._add(waiting)
        return told

    def _add(self, entries: list[Suppression]) -> bool:
        """Put some on the list; whether the store did."""
        told = self.told
        try:
            new = sum(self._store.add(entries, together=True))
        except StoreError as error:
            refused = isinstance(error, (StoreUnavailable, StoreFull))
            if refused and not (told.imported or told.unchanged):
                raise
            told.interrupted, told.in_doubt = str(error), 0 if refused else len(entries)
            return False
        told.imported += new
        told.unchanged += len(entries) - new
        self._progress(told)
        return True

    def _entries(self, pieces: Iterable[bytes]) -> Iterator[Suppression]:
        """The good rows."""
        told = self.told
        whole = _begun(pieces, told.refused)
        records = Records(whole)
        header: Header | None = None
        for record in records:
            if isinstance(record, Broken):
                if header is None:
                    told.refused.append(Wrong("", record.code, f"The header: {record.detail}"))
                    return
                told.rows += 1
                self._refuse(record.line, [Wrong("", record.code, record.detail)], header)
            elif not any(map(str.strip, record.cells)):
                continue
            elif header is None:
                header = self._header(records, record.cells)
                if header is None:
                    return
            else:
                told.rows += 1
                entry = self._entry(record.line, record.cells, header)
                if entry is not None:
                    yield entry
                if self._options.dry_run and told.rows % STEP == 0:
                    self._progress(told)
        if header is None and not told.refused:
            told.refused.append(Wrong("", "empty", "There is no header row in it."))

    def _header(self, records: Records, cells: list[str]) -> Header | None:
        """What the columns mean; None when the file is refused."""
        header, wrong = header_of(cells, self._options.reason, ignore=self._options.ignore_columns)
        self.told.refused += wrong
        if header is not None:
            records.plausible = header.plausible
        return header

    def _entry(self, line: int, cells: list[str], header: Header) -> Suppression | None:
        count = len(header.columns)
        if len(cells) < count or any(map(str.strip, cells[count:])):
            text = f"Has {len(cells)} columns, the header has {count}."
            self._refuse(line, [Wrong("", "bad_column_count", text)], header)
            return None
        fields = fields_of(header, cells, self._options.list)
        entry, wrong = entry_of(fields, self._options.asking)
        if wrong and all(each.code == "too_early" for each in wrong):
            self.told.expired += 1
        elif wrong:
            self._refuse(line, wrong, header)
        return entry

    def _refuse(self, line: int, wrong: list[Wrong], header: Header) -> None:
        self.told.bad_rows += 1
        for each in wrong:
            self._bad(BadRow(line, header.name_of(each.field), each.code, each.detail))


def _begun(pieces: Iterable[bytes], refused: list[Wrong]) -> Iterator[bytes]:
    """The same pieces; none when its first bytes say that it is no text."""
    begun = False
    for piece in pieces:
        if not begun and piece:
            begun = True
            for beginnings, text in _BEGINNINGS:
                if piece.startswith(beginnings):
                    refused.append(Wrong("", "bad_encoding", text))
                    return
            if piece[1:2] == b"\0" or piece[:1] == b"\0":
                refused.append(Wrong("", "bad_encoding", _BEGINNINGS[0][1]))
                return
        yield piece
