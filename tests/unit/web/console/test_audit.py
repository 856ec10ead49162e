"""The audit trail in the console: pages, filters, and a file that is no spreadsheet's program."""

from __future__ import annotations

import csv
import re
from typing import Any

import pytest

from shared.store.records import Audited
from tests.support.console import ConsoleApi
from tests.unit.web.console.test_aside import HOSTILE, seen
from web.console.views import audit


def done(console: ConsoleApi, *acts: str, **fields: Any) -> None:
    """Entries, in this order."""
    for act in acts:
        fields.setdefault("who", "usr_1")
        assert console.desk.records.write((), [Audited(act=act, **fields)])


def acts(text: str) -> list[str]:
    return re.findall(r'<td class="nowrap" data-label="Act">([a-z_]+\.[a-z0-9_]+)</td>', text)


def test_entries_tell_everything_the_newest_first(console: ConsoleApi) -> None:
    done(
        console, "key.created", login="ann@people.test", address="192.0.2.7", what="k1",
        details={"application": "shop"}, request_id="r" * 32,
    )  # fmt: skip
    done(console, "hop.suspended")
    text = console.signed_in("operator").get("/audit").text
    assert acts(text) == ["hop.suspended", "key.created"]
    for words in ("ann@people.test", "192.0.2.7", "k1", "application: shop", "r" * 32, "2027-01"):
        assert words in seen(text)


def test_no_entries_is_told(console: ConsoleApi) -> None:
    browser = console.signed_in("owner")
    assert "Nothing was done yet" in browser.get("/audit").text
    assert "Nothing like this was done yet" in browser.get("/audit?act=x").text


def test_they_are_filtered_by_act_and_who(console: ConsoleApi) -> None:
    done(console, "key.created", "key.revoked", login="ann@people.test", address="192.0.2.7")
    done(console, "user.disabled", who="cli")
    browser = console.signed_in("owner")
    assert acts(browser.get("/audit?act=key.").text) == ["key.revoked", "key.created"]
    assert acts(browser.get("/audit?act=key.revoked&who=ANN").text) == ["key.revoked"]
    assert acts(browser.get("/audit?who=cli").text) == ["user.disabled"]
    assert acts(browser.get("/audit?who=192.0.2.7").text) == ["key.revoked", "key.created"]


def test_they_come_in_pages(console: ConsoleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    done(console, *(f"act.n{n}" for n in range(5)))
    browser = console.signed_in("owner")
    found, path = [], "/audit?act=act"
    for _ in range(3):
        text = browser.get(path).text
        found.append(acts(text))
        further = re.search(r'href="/console(/audit\?[^"]*before=[^"]+)"', text)
        path = further[1].replace("&amp;", "&") if further else ""
    assert found == [["act.n4", "act.n3"], ["act.n2", "act.n1"], ["act.n0"]]
    assert not path


def test_a_page_looks_at_so_many_and_says_so(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "WINDOW", 3)
    monkeypatch.setattr(audit, "_STEP", 2)
    done(console, "rare.act", *["usual.act"] * 5)
    browser = console.signed_in("owner")
    text = browser.get("/audit?act=rare").text
    assert "None of the 3 entries that were looked at match. There are more." in seen(text)
    further = re.search(r'href="/console(/audit\?[^"]*before=[^"]+)"', text)
    assert further
    text = browser.get(further[1].replace("&amp;", "&")).text
    assert acts(text) == ["rare.act"]
    assert "before=" not in text


@pytest.mark.parametrize("before", ["x", "1-", "-1", "٣-1", "1-1)", "+"])
def test_what_no_entry_is_called_is_no_page(console: ConsoleApi, before: str) -> None:
    answer = console.signed_in("owner").get("/audit", query_string={"before": before})
    assert answer.status_code == 404


def test_b23_what_others_have_written_is_shown_as_text(console: ConsoleApi) -> None:
    done(console, f"a.{HOSTILE}", login=HOSTILE, what=HOSTILE, address=HOSTILE,
         details={HOSTILE: HOSTILE}, request_id=HOSTILE)  # fmt: skip
    browser = console.signed_in("owner")
    for path in ("/audit", "/audit?who=script", f"/audit?act={HOSTILE}&who={HOSTILE}"):
        text = browser.get(path).text
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text


def test_b40_the_file_has_no_formulas(console: ConsoleApi) -> None:
    evil = ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"]
    for each in evil:
        done(console, "a.b", login=each, what=each, details={each: each})
    done(console, "a.b", login='a "quoted", name\nin two lines', what="k-1")
    answer = console.signed_in("operator").get("/audit/file")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    head, *rows = csv.reader(answer.text.splitlines(keepends=True))
    assert head[:3] == ["at", "who", "login"]
    assert len(rows) == 7
    for row in rows:
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert rows[0][2] == 'a "quoted", name\nin two lines'
    assert rows[0][5] == "k-1"
    assert rows[-1][2] == "'" + evil[0]


def test_the_file_is_filtered_and_bounded(
    console: ConsoleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_ROWS", 4)
    monkeypatch.setattr(audit, "_STEP", 3)
    done(console, "a.a", "b.b", "a.a", "b.b", "a.a")
    browser = console.signed_in("owner")
    assert len(list(csv.reader(browser.get("/audit/file").text.splitlines()))) == 1 + 4
    assert len(list(csv.reader(browser.get("/audit/file?act=a").text.splitlines()))) == 1 + 2
