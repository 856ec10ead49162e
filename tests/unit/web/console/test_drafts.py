"""Drafts: how long they last, how many there are, and what their files take."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from shared.clock import ManualClock
from shared.store.memory_records import MemoryRecords
from web.console.draft import DAY_MS, Ended, File, Limits, NoDraft, NoRoom, WasSent, unpack_total
from web.console.drafts import BODIES, FILES, LISTS, MOST, TOTALS, Drafts
from web.console.typed import Typed

ANN, BOB = "usr_ann", "usr_bob"
WORDS = Typed(subject="Hello", to=("a@people.test",), html="<p>x</p>")


class World:
    """Drafts on a clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.records = MemoryRecords(self.clock)
        limits = Limits(files=100, draft_bytes=1000, all_bytes=3000)
        self.drafts = Drafts(self.records, self.clock, b"k" * 32, limits)
        self._number = 0

    def begun(self, user: str = ANN) -> str:
        """A draft that is kept."""
        draft = self.drafts.new_id(user)
        self.drafts.save(user, draft, WORDS)
        return draft

    def file(self, user: str, draft: str, size: int) -> File:
        """A file of that size in a draft."""
        self._number += 1
        file = File(f"file_{self._number}", "a.bin", "text/plain", size)
        self.drafts.add_file(user, draft, file, b"x" * size)
        return file

    def stored(self) -> int:
        """Bytes of files that are there."""
        return sum(len(each) for each in self.records.all(FILES).values())


@pytest.fixture
def world() -> World:
    """A fresh one."""
    return World()


def test_what_was_typed_comes_back(world: World) -> None:
    draft = world.begun()
    found = world.drafts.find(ANN, draft)
    assert world.drafts.typed(found) == WORDS
    assert [each.subject for each in world.drafts.of(ANN)] == ["Hello"]
    assert world.drafts.of(BOB) == []


def test_b37_a_name_is_of_one_user_and_cannot_be_made_up(world: World) -> None:
    fresh, kept = world.drafts.new_id(ANN), world.begun()
    for name in (fresh, kept, fresh[:-1] + "0", "draft_" + "0" * 64, "", "draft_é", kept.upper()):
        with pytest.raises(NoDraft):
            world.drafts.find(BOB, name)
    later = f"draft_{2**44:012x}" + fresh[18:]
    with pytest.raises(NoDraft):
        world.drafts.find(ANN, later)
    world.drafts.delete(BOB, kept)
    assert world.drafts.find(ANN, kept).saved_ms


def test_a_draft_ends_a_day_after_it_began_whatever_is_done_with_it(world: World) -> None:
    draft = world.begun()
    file = world.file(ANN, draft, 10)
    world.clock.advance(23 * 3600)
    world.drafts.save(ANN, draft, WORDS)
    world.clock.advance(3600)
    with pytest.raises(Ended):
        world.drafts.find(ANN, draft)
    assert world.drafts.of(ANN) == []
    assert not world.records.all(BODIES)
    world.begun()  # What the user does next takes its files away.
    assert world.drafts.content(file) is None


def test_a_sent_draft_is_kept_for_a_day_with_its_files(world: World) -> None:
    draft = world.begun()
    file = world.file(ANN, draft, 10)
    world.clock.advance(23 * 3600)
    assert world.drafts.sent(ANN, draft, "msg_1", [])
    assert not world.drafts.sent(ANN, draft, "msg_2", [])
    world.clock.advance(23 * 3600)
    found = world.drafts.find(ANN, draft)
    assert found.message == "msg_1"
    assert world.drafts.typed(found) == WORDS
    assert world.drafts.content(file) == b"x" * 10
    acts: list[Callable[[], object]] = [
        lambda: world.drafts.save(ANN, draft, WORDS),
        lambda: world.file(ANN, draft, 1),
        lambda: world.drafts.remove_file(ANN, draft, file.id),
    ]
    for act in acts:
        with pytest.raises(WasSent):
            act()
    world.clock.advance(2 * 3600)
    assert world.drafts.of(ANN) == []


def test_a_user_has_ten_drafts_and_can_send_an_eleventh(world: World) -> None:
    for _ in range(MOST):
        world.begun()
    with pytest.raises(NoRoom, match="10 drafts"):
        world.begun()
    for number in range(MOST + 3):
        world.clock.advance(1)
        assert world.drafts.sent(ANN, world.drafts.new_id(ANN), f"msg_{number}", [])
    sent = [draft.message for draft in world.drafts.of(ANN) if draft.message]
    assert sorted(sent) == sorted(f"msg_{number}" for number in range(3, MOST + 3))
    world.begun(BOB)


def test_the_files_of_all_users_have_one_bound(world: World) -> None:
    drafts = [(user, world.begun(user)) for user in (ANN, BOB, "usr_c")]
    for user, draft in drafts:
        world.file(user, draft, 1000)
    late = world.begun("usr_d")
    with pytest.raises(NoRoom, match="no room left"):
        world.file("usr_d", late, 1)
    world.drafts.delete(*drafts[0])
    world.file("usr_d", late, 1000)
    assert world.stored() == 3000


def test_copies_of_sent_messages_give_way_the_oldest_first(world: World) -> None:
    drafts = [(user, world.begun(user)) for user in (ANN, BOB, "usr_c")]
    for user, draft in drafts:
        world.file(user, draft, 1000)
    for user, draft in (drafts[1], drafts[0]):
        world.clock.advance(1)
        world.drafts.sent(user, draft, "msg_1", [])
    world.file("usr_d", world.begun("usr_d"), 500)
    assert world.drafts.of(BOB) == []
    assert world.drafts.of(ANN)
    assert world.stored() == 2500


def test_what_ended_by_itself_is_not_counted_for_good(world: World) -> None:
    for user in (ANN, BOB, "usr_c"):
        world.file(user, world.begun(user), 1000)
    world.clock.advance(24 * 3600)
    draft = world.begun("usr_d")
    for size in (1000, 0):
        world.file("usr_d", draft, size)
    world.clock.advance(3 * DAY_MS / 1000)
    assert world.records.all(LISTS) == {}
    for user in (ANN, BOB, "usr_c"):
        world.file(user, world.begun(user), 1000)
    assert unpack_total(world.records.get(TOTALS, b"bytes")).size == world.stored() == 3000
    with pytest.raises(NoRoom):
        world.file("usr_d", world.begun("usr_d"), 1)


def test_who_is_faster_takes_the_last_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for user in (ANN, BOB):
        world.file(user, world.begun(user), 1000)
    late, faster = world.begun("usr_late"), world.begun("usr_fast")
    real = world.drafts._make_room

    def slow(size: int) -> None:
        real(size)
        with monkeypatch.context() as patched:
            patched.setattr(world.drafts, "_make_room", real)
            world.file("usr_fast", faster, 1000)

    monkeypatch.setattr(world.drafts, "_make_room", slow)
    with pytest.raises(NoRoom):
        world.file("usr_late", late, 1000)
    assert world.stored() == 3000


def test_a_hundred_files_go_with_their_draft(world: World) -> None:
    draft = world.begun()
    for _ in range(100):
        world.file(ANN, draft, 1)
    with pytest.raises(NoRoom, match="100 attachments"):
        world.file(ANN, draft, 1)
    world.drafts.delete(ANN, draft)
    assert world.records.all(FILES) == {}
    assert world.records.all(BODIES) == {}


def test_uploads_at_once_are_all_there_and_all_counted(world: World) -> None:
    drafts = {user: world.begun(user) for user in (ANN, BOB)}
    refused: list[str] = []
    lock = threading.Lock()

    def upload(user: str, number: int) -> None:
        file = File(f"{user}-{number}", "a", "text/plain", 400)
        try:
            world.drafts.add_file(user, drafts[user], file, b"x" * 400)
        except NoRoom:
            with lock:
                refused.append(user)

    threads = [threading.Thread(target=upload, args=(u, n)) for u in drafts for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(refused) == [ANN, ANN, BOB, BOB]  # Two of 400 bytes fit into a draft of 1,000.
    assert world.stored() == 1600
    assert sum(each.size for user in drafts for each in world.drafts.of(user)) == 1600
    for user, draft in drafts.items():
        world.drafts.delete(user, draft)
    for user in ("usr_1", "usr_2", "usr_3"):
        world.file(user, world.begun(user), 1000)
