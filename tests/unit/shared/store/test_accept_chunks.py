"""What one script takes: a store that runs it answers nobody else meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.clock import ManualClock
from shared.model.message import Recipient
from shared.parting import legs_of
from shared.routing import Routes
from shared.settings import Settings
from shared.store.connection import Value
from shared.store.ports import Submission
from shared.store.redis_queue import start_scripts
from shared.store.redis_spool import MAX_SCRIPT_ITEMS, MAX_SCRIPT_LEGS, chunks, pack_submission
from shared.store.suppression_records import MOST_ASKED_BYTES
from shared.store.suppressions import Starting, check_of
from tests.support.stores import MemoryTestStore, settings

TOGETHER = Routes(Settings())
ALONE = Routes(msgspec.convert({"bounces": {"domains": ["b.shop.test"]}}, Settings))


def submissions(count: int, recipients: int, routes: Routes = ALONE) -> list[Submission]:
    store = MemoryTestStore(settings(), ManualClock())
    people = tuple(Recipient("to", f"r{number}@example.test") for number in range(recipients))
    found = []
    for _ in range(count):
        each = store.submission()
        head = msgspec.structs.replace(each.message.head, recipients=people)
        message = msgspec.structs.replace(each.message, head=head)
        found.append(Submission(message, legs_of(head, store.clock.now_ms(), routes)))
    return found


def asked(checks: Sequence[Value]) -> int:
    """Bytes."""
    return sum(len(check) for check in checks if isinstance(check, bytes))


def test_messages_of_one_leg_go_by_the_hundred() -> None:
    packed = [pack_submission(each) for each in submissions(250, 1)]
    assert [len(each) for each in chunks(packed)] == [MAX_SCRIPT_ITEMS, MAX_SCRIPT_ITEMS, 50]


def test_messages_of_many_legs_go_by_their_legs() -> None:
    given = submissions(10, 150)
    assert [len(each.legs) for each in given] == [150] * 10
    found = list(chunks([pack_submission(each) for each in given]))
    assert [len(each) for each in found] == [MAX_SCRIPT_LEGS // 150] * 5
    assert [item for each in found for item in each] == [pack_submission(each) for each in given]


def test_messages_to_many_people_go_by_what_the_suppression_list_is_asked() -> None:
    packed = [pack_submission(each) for each in submissions(100, 150, TOGETHER)]
    found = list(chunks(packed))
    assert [item for each in found for item in each] == packed
    most = max(asked([item[8] for item in each]) for each in found)
    assert MOST_ASKED_BYTES * 0.8 < most <= MOST_ASKED_BYTES


def test_legs_to_many_people_start_in_several_scripts() -> None:
    check = check_of(submissions(1, 99)[0].message.head)
    given = [Starting(bytes(18), fence, check) for fence in range(100)]
    found = list(start_scripts(given))
    assert [fence for flat in found for fence in flat[1::3]] == list(range(100))
    most = max(asked(flat[2::3]) for flat in found)
    assert MOST_ASKED_BYTES * 0.8 < most <= MOST_ASKED_BYTES
    assert len(list(start_scripts([Starting(bytes(18), 1)] * 100))) == 1
