"""What one accept script takes: a store that runs it answers nobody else meanwhile."""

from __future__ import annotations

import msgspec

from shared.clock import ManualClock
from shared.model.message import Recipient
from shared.parting import legs_of
from shared.routing import Routes
from shared.settings import Settings
from shared.store.ports import Submission
from shared.store.redis_spool import MAX_SCRIPT_ITEMS, MAX_SCRIPT_LEGS, chunks, pack_submission
from tests.support.stores import MemoryTestStore, settings

ALONE = Routes(msgspec.convert({"bounces": {"domains": ["b.shop.test"]}}, Settings))


def submissions(count: int, recipients: int) -> list[Submission]:
    store = MemoryTestStore(settings(), ManualClock())
    people = tuple(Recipient("to", f"r{number}@example.test") for number in range(recipients))
    found = []
    for _ in range(count):
        each = store.submission()
        head = msgspec.structs.replace(each.message.head, recipients=people)
        message = msgspec.structs.replace(each.message, head=head)
        found.append(Submission(message, legs_of(head, store.clock.now_ms(), ALONE)))
    return found


def test_messages_of_one_leg_go_by_the_hundred() -> None:
    packed = [pack_submission(each) for each in submissions(250, 1)]
    assert [len(each) for each in chunks(packed)] == [MAX_SCRIPT_ITEMS, MAX_SCRIPT_ITEMS, 50]


def test_messages_of_many_legs_go_by_their_legs() -> None:
    given = submissions(10, 150)
    assert [len(each.legs) for each in given] == [150] * 10
    found = list(chunks([pack_submission(each) for each in given]))
    assert [len(each) for each in found] == [MAX_SCRIPT_LEGS // 150] * 5
    assert [item for each in found for item in each] == [pack_submission(each) for each in given]
