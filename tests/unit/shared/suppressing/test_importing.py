"""CSV into the list and out of it: ours and others' exports, bad rows named, good ones in."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.addresses import canonical, mailbox
from shared.clock import ManualClock
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.model.suppression import REASONS, Suppression
from shared.settings import Settings
from shared.store.memory import MemoryStore
from shared.store.suppressions import Suppressions
from shared.suppressing.columns import COLUMNS
from shared.suppressing.entry import Asking, tidy_detail
from shared.suppressing.exporting import exported, written
from shared.suppressing.importing import BadRow, Import, Imported, Options

NOW = ManualClock().now_ms()
OPERATE = Asking("shop", "import", NOW, operate=True)
SEND = Asking("shop", "import", NOW)


def new_list() -> Suppressions:
    return MemoryStore(Settings(), ManualClock()).suppressions


class Run:
    """One import."""

    def __init__(
        self, data: bytes | str, into: Suppressions | None = None, size: int = 65_536,
        asking: Asking = SEND, **options: Any,
    ) -> None:  # fmt: skip
        body = data.encode() if isinstance(data, str) else data
        self.list = into if into is not None else new_list()
        self.bad: list[BadRow] = []
        one = Import(self.list, Options(asking, **options), self.bad.append)
        self.told: Imported = one.run(
            lambda: (body[at : at + size] for at in range(0, len(body), size))
        )

    @property
    def entries(self) -> list[Suppression]:
        """All that is on the list, in the order of addresses."""
        found = self.list.page("", 10_000).entries
        return sorted(found, key=lambda each: (each.address, each.application, each.list))

    @property
    def wrong(self) -> list[tuple[int, str, str]]:
        return [(each.row, each.column, each.code) for each in self.bad]

    @property
    def refused(self) -> list[tuple[str, str]]:
        return [(each.field, each.code) for each in self.told.refused]


def test_good_rows_go_in_and_bad_ones_are_named() -> None:
    run = Run(
        "address,reason,list,expires_at,application\r\n"
        "bob@example.com,bounce,,,\r\n"
        "bob,bounce,,,\r\n"
        "eve@example.com,nonsense,a\tb,soon,other\r\n"
        "\r\n"
        "ann@example.com,COMPLAINT,News,2030-01-01T00:00:00Z,shop\r\n"
        "x@example.com,bounce\r\n"
        "x@example.com,bounce,,,,more\r\n"
        "y@example.com,bounce,,,,,\r\n"
        "old@example.com,bounce,,2020-01-01T00:00:00Z,\r\n"
        '"unclosed@example.com,bounce,,,\r\n'
        "bob@example.com,bounce,,,\r\n"
    )
    assert run.wrong == [
        (3, "address", "bad_address"),
        (4, "application", "not_allowed"), (4, "list", "bad_value"), (4, "reason", "bad_value"),
        (4, "expires_at", "bad_time"),
        (7, "", "bad_column_count"), (8, "", "bad_column_count"), (11, "", "bad_quotes"),
    ]  # fmt: skip
    assert [(each.address, each.reason, each.list, each.application) for each in run.entries] == [
        ("ann@example.com", "complaint", "News", "shop"), ("bob@example.com", "bounce", "", "shop"),
        ("y@example.com", "bounce", "", "shop"),
    ]  # fmt: skip
    told = run.told
    assert (told.rows, told.imported, told.unchanged) == (10, 3, 1)
    assert (told.expired, told.bad_rows, told.good) == (1, 5, 4)
    assert {each.source for each in run.entries} == {"import"}


def test_nothing_that_stood_in_a_row_is_repeated() -> None:
    row = ",".join(["secret1", "secret2"] * 4)
    run = Run(",".join(COLUMNS) + f"\n{row}\n{row},secret1\n", asking=OPERATE)
    assert len(run.bad) > 4
    assert "secret" not in str(run.bad)


@pytest.mark.parametrize("strict", [False, True])
def test_strict_imports_nothing_when_a_row_is_bad(strict: bool) -> None:
    run = Run("email\na@b.test\nbob\nc@d.test\n", strict=strict)
    assert (len(run.entries), run.told.bad_rows, run.told.rows) == (0 if strict else 2, 1, 3)
    assert run.wrong == [(3, "email", "bad_address")]
    assert run.told.imported == len(run.entries)
    assert len(Run("email\na@b.test\nc@d.test\n", strict=strict).entries) == 2


def test_a_dry_run_changes_nothing() -> None:
    run = Run("email\na@b.test\nbob\n", dry_run=True)
    assert (run.entries, run.told.good, run.told.imported) == ([], 1, 0)
    assert run.wrong == [(3, "email", "bad_address")]


POSTMARK = "EmailAddress,SuppressionReason,Origin,CreatedAt\nbob@example.com,"
NOVEMBER = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status,reason,email,created\n5.1.1,5.1.1 <bob@example.com>,bob@example.com,1700000000\n",
         ("bounce", "5.1.1 <[address]>", "", NOVEMBER)),
        ("ip,email,created\n192.0.2.1,bob@example.com,2023-11-14 22:13:20\n",
         ("complaint", "", "", NOVEMBER)),
        ('address,code,error,created_at\nbob@example.com,550,gone,"14 Nov 2023 22:13:20 GMT"\n',
         ("bounce", "550 gone", "", NOVEMBER)),
        ('address,tags,created_at\nbob@example.com,*,"Tue, 14 Nov 2023 22:13:20 UTC"\n',
         ("unsubscribe", "", "", NOVEMBER)),
        ('address,tags,created_at\nbob@example.com,News,"Mon, 01 Jan 0001 00:00:00 UTC"\n',
         ("unsubscribe", "", "News", NOW)),
        (f"{POSTMARK}HardBounce,Recipient,2023-11-14T17:13:20-05:00\n",
         ("bounce", "", "", NOVEMBER)),
        (f"{POSTMARK}ManualSuppression,Recipient,2023-11-14T17:13:20-05:00\n",
         ("unsubscribe", "", "", NOVEMBER)),
        (f"{POSTMARK}ManualSuppression,Customer,\n", ("manual", "", "", NOW)),
        ("EmailAddress,Reason,LastUpdateTime\nbob@example.com, COMPLAINT,2023-11-14T22:13:20Z\n",
         ("complaint", "", "", NOVEMBER)),
        ("E-Mail;Reason\nbob@example.com;bounced\n", ("bounce", "", "", NOW)),
        ('\ufeff"Email Address"\tDetail\nbob@example.com\tasked to, twice\n',
         ("manual", "asked to, twice", "", NOW)),
    ],
)  # fmt: skip
def test_exports_of_others(text: str, expected: tuple[str, str, str, int]) -> None:
    run = Run(text)
    assert run.bad == []
    (entry,) = run.entries
    assert entry.address == "bob@example.com"
    assert (entry.reason, entry.detail, entry.list, entry.at_ms) == expected


def test_what_rows_do_not_say_can_be_said_for_all() -> None:
    run = Run("email,reason,list\na@b.test,,\nc@d.test,unsubscribed,Own\n", reason="complaint",
              list="News")  # fmt: skip
    assert [(each.reason, each.list) for each in run.entries] == [
        ("complaint", "News"), ("unsubscribe", "Own"),
    ]  # fmt: skip
    assert Run("email,reason\na@b.test,Mailbox is gone\n").wrong == [(2, "reason", "bad_value")]
    (entry,) = Run("email,reason\na@b.test,Mailbox is gone\n", reason="bounce").entries
    assert (entry.reason, entry.detail) == ("bounce", "Mailbox is gone")


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"", ("", "empty")),
        (b"\xef\xbb\xbf\r\n", ("", "empty")),
        ("email\na@b.test\n".encode("utf-16"), ("", "bad_encoding")),
        ("email\na@b.test\n".encode("utf-16-le"), ("", "bad_encoding")),
        ("email\na@b.test\n".encode("utf-16-be"), ("", "bad_encoding")),
        (b"PK\x03\x04xyz", ("", "bad_encoding")),
        (b"\x1f\x8bxyz", ("", "bad_encoding")),
        (b'"email\na@b.test\n', ("", "bad_quotes")),
        (b"x" * 99_999, ("", "row_too_long")),
        (b"a@b.test,bounce\n", ("", "no_header")),
        (b"reason,detail\n", ("address", "required")),
        (b"email,Colour\na@b.test,red\n", ("Colour", "unknown_column")),
        (b"email,address\na@b.test,a@b.test\n", ("address", "duplicate_column")),
    ],
)
def test_files_that_are_none(data: bytes, refused: tuple[str, str]) -> None:
    run = Run(data)
    assert run.refused == [refused]
    assert (run.entries, run.told.rows, run.bad) == ([], 0, [])


def test_unknown_columns_are_passed_by_when_that_is_said() -> None:
    (entry,) = Run("Colour,email,\nred,a@b.test,\n", ignore_columns=True).entries
    assert entry.address == "a@b.test"


def test_whose_entries_they_become() -> None:
    text = "address,application\na@b.test,\nb@b.test,other\nc@b.test,*\nd@b.test,shop\n"
    run = Run(text)
    assert run.wrong == [(3, "application", "not_allowed"), (4, "application", "not_allowed")]
    assert {each.application for each in run.entries} == {"shop"}
    applications = [each.application for each in Run(text, asking=OPERATE).entries]
    assert applications == ["shop", "other", "", "shop"]
    nobody = msgspec.structs.replace(OPERATE, application=None)
    assert Run(text, asking=nobody).wrong == [(2, "application", "required")]


def test_formulas_of_others_are_addresses_all_the_same() -> None:
    (entry,) = Run("email\n'=cmd|x@b.test\n").entries
    assert entry.address == "=cmd|x@b.test"


class Breaking:
    """A list whose store goes away after some entries."""

    def __init__(self, after: int, error: Exception) -> None:
        self._left = after
        self._error = error

    def add(self, entries: Iterable[Suppression], *, together: bool) -> list[bool]:
        assert together, "millions are no events each"
        if self._left <= 0:
            raise self._error
        self._left -= len(list(entries))
        return [True for _ in entries]


def test_a_store_that_goes_away_in_the_middle() -> None:
    text = "email\n" + "".join(f"a{number}@b.test\n" for number in range(2500))
    for error, doubt in ((StoreUnavailable("away"), 0), (OutcomeUnknown("late"), 500)):
        told = Run(text, into=Breaking(1000, error)).told  # type: ignore[arg-type]  # Only adds.
        assert (told.imported, told.interrupted) == (1000, str(error))
        assert told.in_doubt == doubt
    with pytest.raises(StoreUnavailable):
        Run(text, into=Breaking(0, StoreUnavailable("away")))  # type: ignore[arg-type]
    late = Run(text, into=Breaking(0, OutcomeUnknown("late")))  # type: ignore[arg-type]
    assert (late.told.imported, late.told.in_doubt) == (0, 500)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: name.isprintable() and name == name.strip() and name != "*"
)
ADDRESSES = (
    st.text(st.sampled_from("aZ09!#$%&'*+/=?^_`{|}~-."), min_size=1, max_size=9)
    .map(lambda local: mailbox(f"{local}@Example.com"))
    .filter(bool)
    .map(lambda address: canonical(str(address)))
)
ENTRIES = st.builds(
    Suppression,
    address=ADDRESSES,
    application=st.one_of(st.just(""), NAMES),
    list=st.one_of(st.just(""), NAMES.filter(lambda name: unicodedata.is_normalized("NFC", name))),
    reason=st.sampled_from(REASONS),
    source=st.sampled_from(["smtp", "dsn", "one-click", "api:0123abcd", "import"]),
    at_ms=st.integers(0, NOW),
    expires_ms=st.one_of(st.none(), st.integers(NOW + 1, 253_402_300_799_999)),
    detail=st.text(max_size=120).map(tidy_detail),
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(ENTRIES, max_size=20), st.integers(1, 99))
def test_an_export_is_imported_as_exactly_the_same_list(
    entries: list[Suppression], size: int
) -> None:
    before = new_list()
    before.add(entries)
    file = b"".join(exported(before))
    nobody = msgspec.structs.replace(OPERATE, application=None)
    run = Run(file, size=size, asking=nobody, strict=True)
    assert (run.bad, run.told.refused) == ([], [])
    assert set(run.entries) == set(before.page("", 10_000).entries)
    again = Run(file, into=run.list, asking=nobody)
    assert (again.told.imported, again.told.unchanged) == (0, again.told.rows)
    assert set(again.entries) == set(before.page("", 10_000).entries)


@settings(max_examples=150)
@given(st.lists(ENTRIES, max_size=9))
def test_b40_no_cell_of_an_export_is_a_formula(entries: list[Suppression]) -> None:
    there = new_list()
    there.add(entries)
    for row in csv.reader(io.StringIO(b"".join(exported(there)).decode(), newline="")):
        assert len(row) == len(COLUMNS)
        assert not any(cell[:1] in list("=+-@\t\r") for cell in row if cell)


@given(st.binary(max_size=200), st.booleans())
def test_no_file_breaks_it(tail: bytes, header: bool) -> None:
    data = (written([COLUMNS]) if header else b"") + tail
    run = Run(data, asking=OPERATE)
    assert run.told.rows == run.told.bad_rows + run.told.expired + run.told.good


def test_exports_go_page_by_page() -> None:
    there = new_list()
    entries = [Suppression(f"a{number}@b.test", "shop", at_ms=1) for number in range(2500)]
    for at in range(0, 2500, 500):
        there.add(entries[at : at + 500])
    pieces = list(exported(there))
    assert len(pieces) == 3
    assert pieces[0].startswith(",".join(COLUMNS).encode() + b"\r\n")
    assert b"".join(pieces).count(b"\r\n") == 2501
    assert b"".join(exported(there, "other")) == written([COLUMNS])
