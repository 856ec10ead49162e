"""What two processes do at once to the same account, over both stores."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from shared.accounts.accounts import Accounts, accounts_of
from shared.accounts.actor import CLI, Client
from shared.accounts.first import first_link
from shared.accounts.joining import Form, Joining
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Wrong
from shared.accounts.own import Me, Own
from shared.accounts.people import Invited, People
from shared.accounts.sign_in import SignIn
from shared.accounts.throttle import FREE
from shared.accounts.totp import STEP_MS, code_at
from shared.accounts.user import User
from shared.accounts.users import new_id
from shared.console_settings import ConsoleSettings
from shared.store.records import ANY, Change, Records
from tests.support.stores import Store

T = TypeVar("T")
CONSOLE = ConsoleSettings(url="https://console.example.test", key="k" * 32)
PASSWORD = "seven quiet herons"
LOGIN = "ann@people.test"


class Race:
    """Records of processes that all read something before any of them goes on."""

    def __init__(self, store: Store, parties: int, method: str, kind: str) -> None:
        self._store = store
        self._barrier = Barrier(parties)
        self._where = (method, kind)

    def accounts(self) -> Accounts:
        """Of one of the processes."""
        records = _Racing(self._store.records, self._where, self._barrier)
        return accounts_of(records, self._store.clock, CONSOLE, (b"k" * 32,))


class _Racing:
    def __init__(self, records: Records, where: tuple[str, str], barrier: Barrier) -> None:
        self._records = records
        self._where = where
        self._barrier = barrier
        self._met = False
        self.write = records.write
        self.trail = records.trail

    def get(self, kind: str, key: bytes) -> bytes | None:
        found = self._records.get(kind, key)
        self._meet("get", kind)
        return found

    def some(self, kind: str, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._records.some(kind, keys)
        self._meet("some", kind)
        return found

    def all(self, kind: str) -> dict[bytes, bytes]:
        found = self._records.all(kind)
        self._meet("all", kind)
        return found

    def _meet(self, method: str, kind: str) -> None:
        """The first time only: whoever failed reads again alone."""
        if (method, kind) == self._where and not self._met:
            self._met = True
            self._barrier.wait(10)


def accounts(store: Store) -> Accounts:
    """Of one process."""
    return accounts_of(store.records, store.clock, CONSOLE, (b"k" * 32,))


def at_once(*works: Callable[[], T]) -> list[T]:
    """Each in a thread of its own, begun together."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def patient(work: Callable[[], T]) -> T:
    """Whoever finds no place to have a password checked tries again."""
    deadline = time.monotonic() + 20
    while isinstance(answer := work(), Wait):
        assert time.monotonic() < deadline
    return answer


def client(number: int = 1) -> Client:
    return Client(f"192.0.2.{number}", "test")


def joined(store: Store, login: str = LOGIN) -> SignedIn:
    """An owner with a password."""
    there = accounts(store)
    invited = People(there).invite(CLI, login, "", "owner")
    assert isinstance(invited, Invited)
    answer = Joining(there).accept(invited.token, Form(PASSWORD), client())
    assert isinstance(answer, SignedIn)
    return answer


def with_app(store: Store, done: SignedIn) -> tuple[bytes, Codes]:
    there = accounts(store)
    me = Me(done.user, done.session, done.token, client())
    setup = Own(there).new_app(me)
    seed = base64.b32decode(setup.secret)
    answer = Own(there).add_app(me, setup.sealed, code_at(seed, store.clock.now_ms() // STEP_MS))
    assert isinstance(answer, Codes)
    return seed, answer


def first_step(store: Store, number: int) -> SignedIn:
    answer = SignIn(accounts(store)).attempt(LOGIN, PASSWORD, client(number))
    assert isinstance(answer, SignedIn)
    assert answer.session.level == "password"
    return answer


def test_b27_a_code_of_the_app_is_taken_once_by_all_processes(store: Store) -> None:
    seed, _ = with_app(store, joined(store))
    store.clock.advance(60)
    code = code_at(seed, store.clock.now_ms() // STEP_MS)
    begun = [first_step(store, number) for number in range(1, 5)]

    race = Race(store, 4, "get", "users")

    def second(at: int) -> object:
        one = begun[at]
        return SignIn(race.accounts()).second_step(
            one.token, one.session, one.user, code, client(at + 1)
        )

    answers = at_once(*(lambda at=at: second(at) for at in range(4)))
    assert sorted(type(each).__name__ for each in answers) == [
        "SignedIn",
        "Wrong",
        "Wrong",
        "Wrong",
    ]


def test_b27_a_recovery_code_is_used_once_by_all_processes(store: Store) -> None:
    _, codes = with_app(store, joined(store))
    begun = [first_step(store, number) for number in range(1, 5)]

    race = Race(store, 4, "get", "users")

    def second(at: int) -> object:
        one = begun[at]
        return SignIn(race.accounts()).second_step(
            one.token, one.session, one.user, codes.codes[3].upper(), client(at + 1)
        )

    answers = at_once(*(lambda at=at: second(at) for at in range(4)))
    assert sum(isinstance(each, SignedIn) for each in answers) == 1
    user = accounts(store).users.find(LOGIN)
    assert user is not None
    assert len(user.recovery_codes) == 9


def test_b28_the_last_free_try_is_one(store: Store) -> None:
    there = accounts(store)
    for _ in range(FREE - 1):
        assert there.throttle.take("sign_in", "account:x", "network:y") == 0
    race = Race(store, 6, "some", "throttles")

    def take() -> int:
        return race.accounts().throttle.take("sign_in", "account:x", "network:y")

    answers = at_once(*(take for _ in range(6)))
    assert answers.count(0) == 1
    assert all(each >= 1 for each in answers if each)


def test_one_of_two_last_owners_stays(store: Store) -> None:
    ids = [joined(store, f"{name}@people.test").user.id for name in ("ann", "bob")]
    for _ in range(3):
        race = Race(store, 2, "all", "users")
        one, other = People(race.accounts()), People(race.accounts())
        works = [
            lambda one=one: one.disable(CLI, ids[0]),
            lambda other=other: other.change_role(CLI, ids[1], "reader"),
        ]
        answers = at_once(*works)
        refused = [each for each in answers if isinstance(each, Refused)]
        assert [each.why for each in refused] == ["last_owner"]
        People(accounts(store)).enable(CLI, ids[0])
        People(accounts(store)).change_role(CLI, ids[1], "owner")


def test_of_many_first_owners_there_is_one(store: Store) -> None:
    links = at_once(*(lambda: first_link(store.records, store.clock, CONSOLE) for _ in range(4)))
    tokens = [link.rpartition("/")[2] for link in links if link]
    assert len(tokens) == 4

    def join(at: int) -> object:
        form = Form(PASSWORD, login=f"owner{at}@people.test")
        return patient(lambda: Joining(accounts(store)).accept(tokens[at], form, client(at)))

    answers = at_once(*(lambda at=at: join(at) for at in (0, 1, 2, 3, 0, 1, 2, 3)))
    assert sum(isinstance(each, SignedIn) for each in answers) == 1
    assert all(isinstance(each, (SignedIn, Refused)) for each in answers), answers
    assert len(accounts(store).users.all()) == 1
    assert first_link(store.records, store.clock, CONSOLE) is None


def test_of_two_who_follow_one_link_at_once_one_comes_in(store: Store) -> None:
    link = first_link(store.records, store.clock, CONSOLE)
    assert link is not None
    token = link.rpartition("/")[2]
    race = Race(store, 2, "all", "users")

    def join(login: str) -> object:
        return Joining(race.accounts()).accept(token, Form(PASSWORD, login=login), client())

    answers = at_once(lambda: join("ann@people.test"), lambda: join("bob@people.test"))
    assert sorted(type(each).__name__ for each in answers) == ["Refused", "SignedIn"]
    assert len(accounts(store).users.all()) == 1


def test_of_many_invitations_for_a_login_the_last_counts_and_once(store: Store) -> None:
    def invite(name: str) -> Invited | Refused:
        return People(accounts(store)).invite(CLI, "Carl@People.test", name, "reader")

    made = at_once(*(lambda name=name: invite(name) for name in "abcd"))
    there = accounts(store)
    (left,) = there.links.invitations()
    works = [
        lambda token=each.token: patient(
            lambda: Joining(accounts(store)).accept(token, Form(PASSWORD), client())
        )
        for each in made
        if isinstance(each, Invited)
    ]
    answers = at_once(*works, *works)
    (done,) = [each for each in answers if isinstance(each, SignedIn)]
    assert done.user.name == left.name
    assert len(there.users.all()) == 1
    assert People(there).invite(CLI, "carl@people.test", "", "owner") == Refused("taken")


def test_b26_no_session_outlives_a_change_of_the_password(store: Store) -> None:
    done = joined(store)
    old = PASSWORD
    for turn in range(4):
        there = accounts(store)
        new = f"eleven louder herons {turn}"
        me = Me(done.user, done.session, done.token, client())
        works: list[Callable[[], object]] = [
            lambda old=old, n=n: SignIn(accounts(store)).attempt(LOGIN, old, client(n + 10))  # type: ignore[misc]
            for n in range(3)
        ]
        changed, *others = at_once(
            lambda me=me, new=new: patient(lambda: Own(accounts(store)).change_password(me, new)),  # type: ignore[misc]
            *works,
        )
        assert isinstance(changed, SignedIn)
        user = there.users.get(done.user.id)
        assert user is not None
        assert [each.id for each in there.sessions.live(user)] == [changed.session.id]
        for each in others:
            assert isinstance(each, (SignedIn, Wrong, Wait))
            if isinstance(each, SignedIn):
                found = there.sessions.find(each.token)
                assert found is None or not found.is_of(user)
        People(there).unlock(CLI, user.id)
        store.clock.advance(4000)
        done, old = changed, new


def test_a_user_who_cannot_be_read_stops_nobody(store: Store) -> None:
    joined(store)
    there = accounts(store)
    other = User(new_id(), "bob@people.test", "Bob", "owner", 0)
    assert there.users.add(other)
    for packed in (b"\2newer", b"\1\xc1", b""):
        store.records.write([Change("users", other.id.encode(), packed, ANY)])
        store.records.write([Change("sessions", b"x", packed, ANY)])
        store.records.write([Change("links", b"x", packed, ANY)])
        assert [each.login for each in there.users.all()] == [LOGIN]
        assert SignIn(there).attempt(other.login, PASSWORD, client(7)) == Wrong()
        assert isinstance(SignIn(there).attempt(LOGIN, PASSWORD, client(8)), SignedIn)
        assert there.links.invitations() == []
        assert first_link(store.records, store.clock, CONSOLE) is None
