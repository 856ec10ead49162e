"""Signing in: each step, what counts as wrong, and who waits."""

from __future__ import annotations

import msgspec
import pytest
from argon2 import PasswordHasher

from shared.accounts.accounts import device_digest
from shared.accounts.actor import CLI, Client
from shared.accounts.failures import MOST_AN_HOUR
from shared.accounts.levels import level_of
from shared.accounts.outcome import Refused, SignedIn, Wait, Wrong
from shared.accounts.passwords import Passwords
from shared.accounts.sessions import MOST
from shared.accounts.throttle import FREE
from shared.accounts.user import User
from shared.accounts.users import new_id
from tests.unit.shared.accounts.people import HOME, PASSWORD, Office


def at(number: int, device: str = "") -> Client:
    return Client(f"198.51.100.{number}", "Firefox", device)


def test_the_right_password_begins_a_session(office: Office) -> None:
    office.join()
    done = office.password_step("Ann@People.test ")
    assert done.session.level == "full"
    assert office.accounts.sessions.find(done.token) == done.session
    assert done.session.confirmed_ms == office.clock.now_ms()
    assert office.user().seen_ms == office.clock.now_ms()
    entry = office.records.trail(limit=1)[0]
    assert (entry.act, entry.who, entry.login) == ("sign_in.done", done.user.id, "ann@people.test")
    assert (entry.address, entry.request_id) == ("192.0.2.1", "req-1")


def test_b28_unknown_disabled_and_passwordless_users_get_one_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.join("ann@people.test")
    office.join("bob@people.test")
    office.people.disable(CLI, office.user("bob@people.test").id)
    office.accounts.users.add(User(new_id(), "carl@people.test", "Carl", "reader", 0))
    hashed = list[str]()
    real = PasswordHasher.verify

    def verify(self: PasswordHasher, given: str, password: bytes) -> bool:
        hashed.append(given)
        return real(self, given, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    reads = _counted(office, monkeypatch)
    seen = []
    cases = [
        ("ann@people.test", "wrong"), ("bob@people.test", PASSWORD), ("bob@people.test", "wrong"),
        ("carl@people.test", ""), ("nobody@people.test", PASSWORD), ("", ""), ("no address", "x"),
    ]  # fmt: skip
    for number, (login, password) in enumerate(cases):
        reads.clear()
        assert office.sign_in.attempt(login, password, at(number)) == Wrong()
        seen.append(tuple(reads))
    assert len(hashed) == len(cases), "each has one password worked out"
    assert all(each == seen[0] for each in seen), seen


def _counted(office: Office, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which methods of the store are called."""
    called, depth = list[str](), list[str]()
    for name in ("get", "some", "all", "write"):
        real = getattr(office.records, name)

        def counted(*given: object, name: str = name, real: object = real) -> object:
            if not depth:
                called.append(name)
            depth.append(name)
            try:
                return real(*given)  # type: ignore[operator]  # The method.
            finally:
                depth.pop()

        monkeypatch.setattr(office.records, name, counted)
    return called


def test_b28_a_login_that_nobody_has_is_not_kept(office: Office) -> None:
    office.join()
    office.sign_in.attempt("my secret password", "x", HOME)
    office.sign_in.attempt("ann@people.test", "x", HOME)
    known, unknown = office.records.trail(limit=2)
    assert (known.act, known.who, known.login) == (
        "sign_in.failed", office.user().id, "ann@people.test",
    )  # fmt: skip
    assert (unknown.act, unknown.who, unknown.login, unknown.what) == (
        "sign_in.failed", "system", "", "",
    )  # fmt: skip


def test_failed_tries_leave_the_audit_trail_room(office: Office) -> None:
    before = len(office.acts())
    for number in range(MOST_AN_HOUR + 20):
        office.sign_in._failures.note("sign_in.failed", None, at(number))
    assert len(office.records.trail(limit=5000)) == before + MOST_AN_HOUR
    office.clock.advance(3600)
    office.sign_in._failures.note("sign_in.failed", None, HOME)
    assert len(office.records.trail(limit=5000)) == before + MOST_AN_HOUR + 1


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("fiona@people.test", "ﬁona@people.test"),
        ("\u212aim@people.test", "kim@PEOPLE.test"),
        ("kim@people.test", "\u212aim@people.test"),
        ("strasse@people.test", "Straße@people.test"),
        ("ann@bücher.test", "ANN@BÜCHER.test"),
        ("ann@bücher.test", "ann@xn--bcher-kva.test"),
        ("ann@people.test", "ａｎｎ@people.test"),
        ("o\u0308rg@people.test", " Örg@people.test\t"),
    ],
)
def test_b10_a_login_is_the_same_however_it_is_typed(
    office: Office, stored: str, typed: str
) -> None:
    done = office.join(stored)
    assert office.password_step(typed).user.id == done.user.id
    answer = office.people.invite(CLI, typed, "", "reader")
    assert isinstance(answer, Refused), "no other user may look like it"


def test_b10_the_turkish_i_is_another_letter(office: Office) -> None:
    office.join("iris@people.test")
    assert office.sign_in.attempt("ırıs@people.test", PASSWORD, HOME) == Wrong()
    assert isinstance(office.sign_in.attempt("IRIS@people.test", PASSWORD, HOME), SignedIn)


@pytest.mark.parametrize(
    "login", ["\ud800@people.test", "x" * 10_000_000, "\0", "ﷺ" * 1000, "@", "a@b\r\nc"]
)
def test_b10_any_text_may_be_typed_as_login(office: Office, login: str) -> None:
    assert office.sign_in.attempt(login, "x", HOME) == Wrong()


def test_b28_after_five_wrong_ones_even_the_right_password_waits(office: Office) -> None:
    office.join()
    for number in range(FREE):
        assert office.sign_in.attempt("ann@people.test", "wrong", at(number)) == Wrong()
    assert office.sign_in.attempt("ann@people.test", PASSWORD, at(77)) == Wait(15)
    office.clock.advance(15)
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, at(77)), SignedIn)
    assert office.sign_in.attempt("ann@people.test", "wrong", at(78)) == Wrong(), "and all is well"


def test_b28_others_cannot_lock_out_a_browser_that_is_known(office: Office) -> None:
    device = office.join().device
    assert device
    for number in range(41):
        answer = office.sign_in.attempt("ann@people.test", "wrong", at(number))
        if isinstance(answer, Wait) and number % 2:
            office.clock.advance(answer.seconds)
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, at(200)), Wait)
    known = at(1, device)
    done = office.sign_in.attempt("ann@people.test", PASSWORD, known)
    assert isinstance(done, SignedIn)
    assert done.device == "", "it keeps its token"
    for _ in range(FREE):
        assert office.sign_in.attempt("ann@people.test", "wrong", known) == Wrong()
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, known), Wait)


def test_b28_a_browser_is_known_to_its_own_account_only(office: Office) -> None:
    device = office.join("ann@people.test").device
    office.join("bob@people.test")
    for number in range(FREE):
        office.sign_in.attempt("bob@people.test", "wrong", at(number))
    answer = office.sign_in.attempt("bob@people.test", PASSWORD, at(99, device))
    assert isinstance(answer, Wait)


def test_ten_browsers_are_known_and_the_store_has_their_digests(office: Office) -> None:
    first = office.join().device
    tokens = [office.password_step().device for _ in range(10)]
    assert office.user().devices == tuple(device_digest(each) for each in tokens)
    assert device_digest(first) not in office.user().devices


def test_b26_every_step_has_a_new_token(office: Office) -> None:
    done = office.join()
    seed, codes = office.add_app(done)
    begun = office.password_step()
    assert begun.session.level == "password"
    assert begun.device == "", "not before it has signed in"
    second = office.sign_in.second_step(
        begun.token, begun.session, begun.user, office.code(seed), HOME
    )
    assert isinstance(second, SignedIn)
    assert second.session.level == "full"
    assert second.device
    assert office.accounts.sessions.find(begun.token) is None
    confirmed = office.sign_in.confirm(second.token, second.session, second.user, PASSWORD, HOME)
    assert isinstance(confirmed, SignedIn)
    assert office.accounts.sessions.find(second.token) is None
    tokens = {done.token, codes.signed_in.token, begun.token, second.token, confirmed.token}
    assert len(tokens) == 5
    assert len({done.session.csrf, begun.session.csrf, second.session.csrf}) == 3


def test_b26_the_second_step_must_come_soon(office: Office) -> None:
    office.add_app(office.join())
    begun = office.password_step()
    office.clock.advance(899)
    assert office.accounts.sessions.find(begun.token)
    office.clock.advance(1)
    assert office.accounts.sessions.find(begun.token) is None


def test_b27_an_apps_code_counts_once_and_later_ones_only(office: Office) -> None:
    seed, _ = office.add_app(office.join())
    for code, right in (
        (office.code(seed), True),
        (office.code(seed), False),
        (office.code(seed, -1), False),
        (office.code(seed, 1), True),
        (office.code(seed, 1), False),
        (office.code(seed), False),
    ):
        begun = office.password_step()
        answer = office.sign_in.second_step(begun.token, begun.session, begun.user, code, HOME)
        assert isinstance(answer, SignedIn) is right, code


def test_b27_the_code_that_set_up_an_app_signs_nobody_in(office: Office) -> None:
    done = office.join()
    seed, _ = office.add_app(done)
    office.clock.advance(-60)
    begun = office.password_step()
    answer = office.sign_in.second_step(
        begun.token, begun.session, begun.user, office.code(seed), HOME
    )
    assert answer == Wrong()


def test_b27_five_codes_may_be_tried_and_then_one_waits(office: Office) -> None:
    seed, _ = office.add_app(office.join())
    for number in range(FREE):
        begun = office.password_step(client=at(number))
        wrong = office.code(seed, 9)
        answer = office.sign_in.second_step(
            begun.token, begun.session, begun.user, wrong, at(number)
        )
        assert answer == Wrong()
    begun = office.password_step(client=at(50))
    code = office.code(seed)
    answer = office.sign_in.second_step(begun.token, begun.session, begun.user, code, at(50))
    assert answer == Wait(15)
    office.clock.advance(15)
    answer = office.sign_in.second_step(
        begun.token, begun.session, begun.user, office.code(seed), at(50)
    )
    assert isinstance(answer, SignedIn)


def test_b27_a_recovery_code_signs_in_once(office: Office) -> None:
    _, codes = office.add_app(office.join())
    for right in (True, False):
        begun = office.password_step()
        answer = office.sign_in.second_step(
            begun.token, begun.session, begun.user, codes.codes[0], HOME
        )
        assert isinstance(answer, SignedIn) is right
    assert len(office.user().recovery_codes) == 9


def test_b27_a_mailed_code_is_no_way_around_an_app(office: Office) -> None:
    office.add_app(office.join())
    begun = office.password_step()
    assert office.sign_in.mail_code(begun.session, begun.user, HOME) == Refused("not_now")
    code, change = office.accounts.codes.made(begun.session.id)
    office.records.write([change])
    answer = office.sign_in.second_step(begun.token, begun.session, begun.user, code, HOME)
    assert answer == Wrong()


def test_codes_by_mail_are_a_second_step_while_they_are_allowed(office: Office) -> None:
    done = office.join()
    code = office.sign_in.mail_code(done.session, done.user, HOME)
    assert isinstance(code, str)
    assert isinstance(office.own.add_mail(office.me(done), code), SignedIn)
    begun = office.password_step()
    assert begun.session.level == "password"
    other = office.password_step()
    code = office.sign_in.mail_code(begun.session, begun.user, HOME)
    assert isinstance(code, str)
    for session in (other, begun):
        answer = office.sign_in.second_step(
            session.token, session.session, session.user, code, HOME
        )
        assert isinstance(answer, SignedIn) is (session is begun)
    without = office.with_settings(email_codes=False)
    assert without.password_step().session.level == "full"
    assert isinstance(without.sign_in.mail_code(begun.session, begun.user, HOME), Refused)


def test_a_seed_under_another_key_is_told_and_lets_nobody_in(office: Office) -> None:
    seed, codes = office.add_app(office.join())
    office.accounts.users.change(
        office.user().id,
        lambda user: msgspec.structs.replace(user, totp_seed=b"\1" + b"x" * 60),
    )
    begun = office.password_step()
    for code, right in ((office.code(seed), False), (codes.codes[1], True)):
        answer = office.sign_in.second_step(begun.token, begun.session, begun.user, code, HOME)
        assert isinstance(answer, SignedIn) is right


def test_the_password_is_asked_for_once_more(office: Office) -> None:
    done = office.join()
    office.clock.advance(3000)
    me = office.me(done)
    assert office.sign_in.confirm(done.token, done.session, me.user, "wrong", HOME) == Wrong()
    again = office.sign_in.confirm(done.token, done.session, me.user, PASSWORD, HOME)
    assert isinstance(again, SignedIn)
    assert again.session.confirmed_ms == office.clock.now_ms()
    for _ in range(FREE):
        office.sign_in.confirm(again.token, again.session, me.user, "wrong", HOME)
    answer = office.sign_in.confirm(again.token, again.session, me.user, PASSWORD, HOME)
    assert isinstance(answer, Wait)


def test_signing_out_ends_the_session(office: Office) -> None:
    done = office.join()
    office.sign_in.sign_out(done.token, done.user, HOME)
    assert office.accounts.sessions.find(done.token) is None
    assert office.acts()[-1] == "sign_out.done"


def test_an_old_hash_is_made_anew_when_its_password_comes(office: Office) -> None:
    office.join()
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    office.accounts.users.change(
        office.user().id, lambda user: msgspec.structs.replace(user, password=cheap)
    )
    office.password_step()
    assert office.user().password != cheap
    office.password_step()


def test_b28_a_reset_is_asked_for_without_telling_who_is_there(office: Office) -> None:
    office.join()
    found = office.sign_in.ask_reset("ANN@people.test", HOME)
    assert isinstance(found, tuple)
    assert found[0].login == "ann@people.test"
    assert office.sign_in.ask_reset("nobody@people.test", HOME) is None
    office.join("bob@people.test")
    office.people.disable(CLI, office.user("bob@people.test").id)
    assert office.sign_in.ask_reset("bob@people.test", HOME) is None
    for login in ("ann@people.test", "nobody@people.test"):
        for number in range(20):
            office.sign_in.ask_reset(login, at(number))
        assert isinstance(office.sign_in.ask_reset(login, at(99)), Wait)


def test_the_level_says_what_is_missing(office: Office) -> None:
    now = office.clock.now_ms()
    alone = User(
        "usr_1", "a@b.test", "A", "reader", now, password="x", password_ms=now, password_alone=True
    )
    short = msgspec.structs.replace(alone, password_alone=False)
    mail: dict[str, object] = {"second_factor": "email"}
    app: dict[str, object] = {"second_factor": "totp"}
    strict: dict[str, object] = {"require_two_factor": True}
    cases: list[tuple[User, dict[str, object], dict[str, object], str]] = [
        (alone, {}, {}, "full"),
        (alone, {}, strict, "setup"),
        (alone, mail, strict, "full"),
        (alone, mail, {**strict, "email_codes": False}, "setup"),
        (alone, app, strict, "full"),
        (short, {}, {}, "setup"),
        (short, mail, {}, "setup"),
        (short, app, {}, "full"),
        (alone, {"password_ms": now - 31 * 86_400_000}, {"password_max_age_days": 30}, "setup"),
        (alone, {"password_ms": now - 29 * 86_400_000}, {"password_max_age_days": 30}, "full"),
        (alone, {"password_ms": 0}, {}, "full"),
    ]
    for user, fields, console, level in cases:
        changed = msgspec.structs.replace(user, **fields)
        assert level_of(changed, Office(**console).settings, now) == level, (fields, console)


@pytest.mark.parametrize("fields", [{"disabled": True}, {"password": ""}, {"password": "other"}])
def test_b26_what_changes_while_a_password_is_checked_counts(
    office: Office, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    office.join()
    real = Passwords.verify

    def verify(self: Passwords, hashed: str, password: str) -> bool:
        right = real(self, hashed, password)
        office.accounts.users.change(
            office.user().id, lambda user: msgspec.structs.replace(user, **fields)
        )
        return right

    monkeypatch.setattr(Passwords, "verify", verify)
    assert office.sign_in.attempt("ann@people.test", PASSWORD, HOME) == Wrong()


def test_b28_a_known_browser_gives_back_no_tries_that_it_did_not_make(office: Office) -> None:
    mallory = office.join("mallory@people.test")
    here = Client("203.0.113.9", "Firefox")
    first = office.sign_in.attempt("mallory@people.test", PASSWORD, here)
    assert isinstance(first, SignedIn)
    own = msgspec.structs.replace(here, device=first.device)
    answers = []
    for number in range(FREE + 2):
        answers.append(office.sign_in.attempt(f"victim{number}@people.test", "x", here))
        signed_in = office.sign_in.attempt("mallory@people.test", PASSWORD, own)
        assert isinstance(signed_in, SignedIn)
        confirmed = office.sign_in.confirm(
            signed_in.token, signed_in.session, signed_in.user, PASSWORD, own
        )
        assert isinstance(confirmed, SignedIn)
    assert [isinstance(each, Wait) for each in answers] == [False] * FREE + [True] * 2
    assert mallory.user.id == first.user.id


def test_b26_signing_in_again_and_again_keeps_so_many_sessions(office: Office) -> None:
    office.join("bob@people.test")
    first = office.join()
    for _ in range(MOST + 5):
        office.clock.advance(1)
        assert office.accounts.sessions.find(first.token, used=True)
        last = office.password_step()
    assert len(office.accounts.sessions.of(last.user.id)) == MOST
    assert office.accounts.sessions.find(last.token) == last.session
    assert office.accounts.sessions.find(first.token), "it was used all the time"
    assert len(office.accounts.sessions.of(office.user("bob@people.test").id)) == 1


def test_b26_who_has_the_password_only_ends_nobodys_session(office: Office) -> None:
    _, codes = office.add_app(office.join())
    for _ in range(MOST + 5):
        office.clock.advance(1)
        assert office.password_step().session.level == "password"
    assert office.accounts.sessions.find(codes.signed_in.token)
