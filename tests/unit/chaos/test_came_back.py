"""What came back in made-up books: each wrong end, entry and figure must be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import msgspec
import pytest

from shared.model.message import CLASSES, MessageClass
from tests.chaos.came_back import Back, Ends, Listed, To, Told, in_words, wrong
from tests.chaos.copies import Pair
from tests.chaos.fates import BOUNCES, LIST, Entry, Kind, entry, fate, stands_in_the_way

WHO = "n1.r0@example.test"
PAIR = (1, WHO)
BULK = To("bulk", "", 10.0, frozenset())
RECEIPT = msgspec.structs.replace(BULK, suppressed=frozenset({WHO}))
MANUAL = Entry(WHO, "default", "", "manual")
BEFORE = Listed(MANUAL, 1, 8.0, 9.0)
AMID = Listed(MANUAL, 1, 9.0, 11.0)
ENTRIES: dict[Kind, Entry] = {
    "dead": Entry(WHO, "default", "", "bounce"),
    "complaint": Entry(WHO, "default", "", "complaint"),
    "unsubscribed": Entry(WHO, "default", LIST, "unsubscribe"),
}
FIGURES: dict[Kind, str] = {
    "dead": "bounced_late", "refused": "bounced_late", "complaint": "complained",
    "unsubscribed": "unsubscribed",
}  # fmt: skip


def told(kind: Kind) -> Back:
    """A report that was taken twice, with everything that comes of it."""
    return Back(
        [Told(1, WHO, kind, 12.0, 1), Told(1, WHO, kind, 13.0, 2)],
        on_list=[ENTRIES[kind]] if kind in ENTRIES else [],
        outcomes={FIGURES[kind]: 1} if kind in FIGURES else {},
    )


def listed(found: Listed, suppressed: int = 1) -> Back:
    """An entry that was put on the list, and stands on it."""
    return Back(listed=[found], on_list=[found.entry], outcomes={"suppressed": suppressed})


def may(back: Back, to: To = BULK, in_flight: Collection[Pair] = ()) -> set[str]:
    """The ends that can be explained."""
    return set(Ends(back, {1: to}, in_flight).may(PAIR))


def faults(
    back: Back, to: To = BULK, status: str = "delivered", copies: int = 1,
    in_flight: Collection[Pair] = (),
) -> set[str]:  # fmt: skip
    """What is told to be wrong."""
    to_all = {1: to}
    found = wrong(
        back, Ends(back, to_all, in_flight), to_all, {PAIR: status},
        Counter({PAIR: copies}) if copies else Counter(), in_flight,
    )  # fmt: skip
    return {what for what, some in found if some}


def test_without_news_all_are_delivered() -> None:
    assert may(Back()) == {"delivered"}
    assert faults(Back()) == set()


@pytest.mark.parametrize("kind", ["dead", "refused", "delayed", "complaint", "unsubscribed"])
def test_what_was_told_decides_the_end(kind: Kind) -> None:
    end = "bounced" if kind in BOUNCES else "delivered"
    assert may(told(kind)) == {end}
    assert faults(told(kind), status=end) == set()


@pytest.mark.parametrize("kind", ["dead", "complaint", "unsubscribed"])
def test_a_second_copy_may_find_the_list_in_its_way(kind: Kind) -> None:
    assert "suppressed" in may(told(kind), in_flight=[PAIR])
    assert "suppressed" not in may(told("refused"), in_flight=[PAIR])


def test_complaints_are_never_in_the_way_of_critical_mail() -> None:
    critical = msgspec.structs.replace(BULK, message_class="critical")
    assert may(told("complaint"), critical, [PAIR]) == {"delivered"}
    assert may(listed(Listed(ENTRIES["complaint"], 1, 8.0, 9.0)), critical) == {"delivered"}


def test_who_was_on_the_list_before() -> None:
    assert may(listed(BEFORE)) == {"suppressed"}
    assert faults(listed(BEFORE), RECEIPT, "suppressed", copies=0) == set()
    assert faults(listed(BEFORE), BULK, "suppressed", copies=0) == {
        "suppressed, but the receipt does not say so"
    }
    assert "copies to recipients who were suppressed before" in faults(
        listed(BEFORE), RECEIPT, "suppressed"
    )


def test_who_came_to_the_list_meanwhile() -> None:
    assert may(listed(AMID)) == {"suppressed", "delivered"}
    assert faults(listed(AMID), BULK, "suppressed", copies=0) == set()
    assert faults(listed(AMID, 0), BULK, "delivered") == set()
    assert faults(listed(AMID), BULK, "suppressed") == {
        "suppressed, with a copy that was not in flight at a kill"
    }
    assert faults(listed(AMID), BULK, "suppressed", in_flight=[PAIR]) == set()


def test_a_receipt_that_was_wrong() -> None:
    assert faults(listed(AMID, 0), RECEIPT) == {
        "suppressed by the receipt, and not in the end", "suppressed by the receipt, with a copy",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["dead", "complaint", "unsubscribed"])
def test_the_list_has_what_comes_of_reports_and_nothing_else(kind: Kind) -> None:
    end = "bounced" if kind in BOUNCES else "delivered"
    missing = msgspec.structs.replace(told(kind), on_list=[])
    assert faults(missing, status=end) == {"not on the suppression list"}
    more = msgspec.structs.replace(told(kind), on_list=[ENTRIES[kind], MANUAL])
    assert faults(more, status=end) == {"on the suppression list without a reason"}
    twice = msgspec.structs.replace(told(kind), on_list=[ENTRIES[kind]] * 2)
    assert faults(twice, status=end) == {"twice on the suppression list"}


@pytest.mark.parametrize("kind", [*FIGURES])
@pytest.mark.parametrize("count", [0, 2])
def test_reports_count_once(kind: Kind, count: int) -> None:
    end = "bounced" if kind in BOUNCES else "delivered"
    wrongly = msgspec.structs.replace(told(kind), outcomes={FIGURES[kind]: count})
    assert faults(wrongly, status=end) == {"wrong figures (what, counted, expected)"}


def test_the_figure_of_suppressed_recipients() -> None:
    assert faults(listed(BEFORE, 2), RECEIPT, "suppressed", copies=0) == {
        "wrong figures (what, counted, expected)"
    }


@pytest.mark.parametrize("message_class", CLASSES)
def test_which_entries_stand_in_the_way(message_class: MessageClass) -> None:
    other, news = Entry(WHO, "default", "other", "manual"), Entry(WHO, "default", LIST, "manual")
    assert stands_in_the_way(MANUAL, message_class, "")
    assert not stands_in_the_way(other, message_class, LIST)
    assert stands_in_the_way(news, message_class, LIST)
    assert not stands_in_the_way(news, message_class, "")
    spared = message_class == "critical"
    assert stands_in_the_way(ENTRIES["complaint"], message_class, "") is not spared


def test_what_was_done_in_words() -> None:
    assert in_words(told("dead"), 3, 1) == (
        "sent back: 2 dead, in 3 tries; put on the list 0, on it in the end 1;"
        " suppressed when accepted 3, at an attempt 1"
    )


def test_all_fates_come_and_stay() -> None:
    names = [f"n{number}.r0@example.test" for number in range(500)]
    some = {name: fate(3, name, True) for name in names}
    assert set(some.values()) == {
        "nothing", "dead", "refused", "delayed", "complaint", "unsubscribed", "before", "meanwhile",
    }  # fmt: skip
    assert some == {name: fate(3, name, True) for name in names}
    assert some != {name: fate(4, name, True) for name in names}
    assert "unsubscribed" not in {fate(3, name, False) for name in names}
    entries = {entry(3, name) for name in names}
    assert {each.list for each in entries} == {"", LIST, "another"}
    assert {each.application for each in entries} == {"default", "*"}
