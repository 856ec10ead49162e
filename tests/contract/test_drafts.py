"""Drafts over both stores: files are counted once, whoever uploads at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.stores import Store
from web.console.draft import DAY_MS, File, Limits, NoRoom
from web.console.drafts import BODIES, FILES, Drafts
from web.console.typed import Typed

_USERS = tuple(f"usr_{number}" for number in range(4))


def _drafts(store: Store, most: int) -> Drafts:
    limits = Limits(files=100, draft_bytes=10_000, all_bytes=most)
    return Drafts(store.records, store.clock, b"k" * 32, limits)


def _file(drafts: Drafts, user: str, draft: str, number: int, size: int = 1000) -> bool:
    file = File(f"{draft}-{number}", "a.bin", "text/plain", size)
    try:
        drafts.add_file(user, draft, file, b"x" * size)
    except NoRoom:
        return False
    return True


def test_what_is_uploaded_at_once_is_there_and_counted(store: Store) -> None:
    drafts = _drafts(store, 100_000)
    names = {user: drafts.new_id(user) for user in _USERS}
    jobs = [(user, number) for number in range(5) for user in _USERS]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda job: _file(drafts, job[0], names[job[0]], job[1]), jobs))
    assert all(taken)
    assert len(store.records.all(FILES)) == 20
    tight = _drafts(store, 21_000)
    assert _file(tight, "usr_late", tight.new_id("usr_late"), 1)
    assert not _file(tight, "usr_late", tight.new_id("usr_late"), 2)
    for user, name in names.items():
        drafts.delete(user, name)
    assert len(store.records.all(FILES)) == 1
    assert _file(_drafts(store, 2000), "usr_late", tight.new_id("usr_late"), 3)


def test_a_draft_of_a_hundred_files_goes_whole(store: Store) -> None:
    drafts = _drafts(store, 100_000)
    name = drafts.new_id("usr_a")
    drafts.save("usr_a", name, Typed(subject="Hello"))
    for number in range(100):
        assert _file(drafts, "usr_a", name, number, 1)
    drafts.delete("usr_a", name)
    assert store.records.all(FILES) == {}
    assert store.records.all(BODIES) == {}


def test_what_ends_by_itself_goes_and_is_not_counted_for_good(store: Store) -> None:
    drafts = _drafts(store, 4000)
    for user in _USERS:
        assert _file(drafts, user, drafts.new_id(user), 1)
    assert not _file(drafts, "usr_late", drafts.new_id("usr_late"), 1)
    store.clock.advance(2 * DAY_MS / 1000 + 1)
    for user in _USERS:
        assert _file(drafts, user, drafts.new_id(user), 1)
    assert len(store.records.all(FILES)) == 4
