"""What people do to their own account, and what ends with it."""

from __future__ import annotations

import base64

import msgspec
import pytest

from shared.accounts.accounts import device_digest
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak, Wrong
from shared.accounts.throttle import FREE
from tests.unit.shared.accounts.people import HOME, PASSWORD, SHORT, Office

NEW = "eleven loud herons"


def test_b26_a_new_password_ends_all_other_sessions_and_links(office: Office) -> None:
    done = office.join()
    others = [office.password_step() for _ in range(3)]
    asked = office.sign_in.ask_reset("ann@people.test", HOME)
    assert isinstance(asked, tuple)
    changed = office.own.change_password(office.me(done), NEW)
    assert isinstance(changed, SignedIn)
    for each in (done, *others):
        assert office.accounts.sessions.find(each.token) is None
    live = office.accounts.sessions.live(office.user())
    assert [each.id for each in live] == [changed.session.id]
    assert office.joining.look(asked[1]) is None
    assert office.sign_in.attempt("ann@people.test", PASSWORD, HOME) == Wrong()
    assert isinstance(office.sign_in.attempt("ann@people.test", NEW, HOME), SignedIn)
    assert office.acts()[-3] == "password.changed"


def test_b26_a_session_that_begins_while_the_password_changes_ends_too(office: Office) -> None:
    done = office.join()
    user = office.user()
    # As if its step was a moment late: it knows the user from before, and writes after.
    me = office.me(done)
    assert isinstance(office.own.change_password(me, NEW), SignedIn)
    token, late = office.accounts.sessions.begin(
        user.id, "full", "192.0.2.9", "x", generation=user.generation
    )
    assert office.accounts.sessions.find(token) == late
    assert not late.is_of(office.user())
    assert late.id not in [each.id for each in office.accounts.sessions.live(office.user())]
    assert office.own.change_password(me, "another quiet password") == Refused("not_now")


def test_b26_more_sessions_than_one_write_has_room_for_end(office: Office) -> None:
    done = office.join()
    user = office.user()
    tokens = [office.accounts.sessions.begin(user.id, "full", "", "")[0] for _ in range(150)]
    assert isinstance(office.own.end_other_sessions(office.me(done)), SignedIn)
    user = office.user()
    left = [each for each in map(office.accounts.sessions.find, tokens) if each is not None]
    assert not any(each.is_of(user) for each in left)


@pytest.mark.parametrize(
    ("password", "code"),
    [(PASSWORD, "same"), (SHORT, "too_short"), ("ann-ann-ann-ann-people", "about")],
)
def test_a_weak_new_password_changes_nothing(office: Office, password: str, code: str) -> None:
    done = office.join()
    answer = office.own.change_password(office.me(done), password)
    assert isinstance(answer, Weak)
    assert code in [each.code for each in answer.weaknesses]
    assert office.accounts.sessions.find(done.token) is not None


def test_b28_with_an_app_a_password_may_be_short_and_the_app_stays_then(office: Office) -> None:
    seed, codes = office.add_app(office.join())
    changed = office.own.change_password(office.me(codes.signed_in), SHORT)
    assert isinstance(changed, SignedIn)
    assert not office.user().password_alone
    me = office.me(changed)
    answer = office.own.remove_second_factor(me, office.code(seed))
    assert answer == Refused("short_password")
    back = office.own.change_password(me, NEW)
    assert isinstance(back, SignedIn)
    removed = office.own.remove_second_factor(office.me(back), office.code(seed))
    assert isinstance(removed, SignedIn)
    assert (office.user().second_factor, office.user().totp_seed) == ("none", b"")
    assert office.user().recovery_codes == ()
    assert office.accounts.sessions.find(back.token) is None, "it goes on under a new token (B26)"


def test_b27_the_second_factor_goes_with_a_code_only(office: Office) -> None:
    seed, codes = office.add_app(office.join())
    me = office.me(codes.signed_in)
    for _ in range(FREE):
        assert office.own.remove_second_factor(me, office.code(seed, 7)) == Wrong()
    assert isinstance(office.own.remove_second_factor(me, office.code(seed)), Wait)
    office.clock.advance(15)
    assert isinstance(office.own.remove_second_factor(me, codes.codes[2]), SignedIn)


def test_b27_another_app_takes_the_place_of_one_with_a_code_of_it_only(office: Office) -> None:
    seed, codes = office.add_app(office.join())
    me = office.me(codes.signed_in)
    setup = office.own.new_app(me)
    new = base64.b32decode(setup.secret)
    assert office.own.add_app(me, setup.sealed, office.code(new)) == Wrong()
    assert office.own.add_app(me, setup.sealed, office.code(new), office.code(new)) == Wrong()
    answer = office.own.add_app(me, setup.sealed, office.code(new), office.code(seed))
    assert isinstance(answer, Codes)
    office.clock.advance(60)
    begun = office.password_step()
    for given, right in (
        (codes.codes[0], False),
        (office.code(seed), False),
        (office.code(new), True),
    ):
        done = office.sign_in.second_step(begun.token, begun.session, begun.user, given, HOME)
        assert isinstance(done, SignedIn) is right


def test_b27_a_seed_is_stored_sealed_and_only_once_its_code_has_come(office: Office) -> None:
    done = office.join()
    me = office.me(done)
    setup = office.own.new_app(me)
    seed = base64.b32decode(setup.secret)
    assert office.user().second_factor == "none"
    assert office.own.add_app(me, setup.sealed, office.code(seed, 5)) == Wrong()
    shown = office.own.shown_app(me, setup.sealed)
    assert shown is not None
    assert shown.secret == setup.secret
    assert isinstance(office.own.add_app(me, setup.sealed, office.code(seed)), Codes)
    stored = b"".join(office.records.all("users").values())
    assert seed not in stored
    assert setup.secret.encode() not in stored


def test_b27_a_seed_is_of_use_to_the_session_it_was_made_for_only(office: Office) -> None:
    one, other = office.me(office.join()), office.me(office.password_step())
    setup = office.own.new_app(one)
    seed = base64.b32decode(setup.secret)
    assert office.own.add_app(other, setup.sealed, office.code(seed)) == Refused("not_now")
    assert office.own.shown_app(other, setup.sealed) is None
    for sealed in ("", "x", "é", setup.sealed[:-4], setup.sealed[4:]):
        assert office.own.add_app(one, sealed, office.code(seed)) == Refused("not_now")


def test_new_recovery_codes_end_the_old_ones(office: Office) -> None:
    done = office.join()
    assert office.own.new_recovery_codes(office.me(done)) == Refused("not_now")
    _, codes = office.add_app(done)
    fresh = office.own.new_recovery_codes(office.me(codes.signed_in))
    assert isinstance(fresh, list)
    begun = office.password_step()
    for code, right in ((codes.codes[0], False), (fresh[0], True)):
        answer = office.sign_in.second_step(begun.token, begun.session, begun.user, code, HOME)
        assert isinstance(answer, SignedIn) is right


def test_codes_by_mail_are_taken_on_once_one_has_come(office: Office) -> None:
    done = office.join()
    me = office.me(done)
    assert office.own.add_mail(me, "12345678") == Wrong()
    code = office.sign_in.mail_code(me.session, me.user, HOME)
    assert isinstance(code, str)
    taken = office.own.add_mail(me, code)
    assert isinstance(taken, SignedIn)
    me = office.me(taken)
    assert office.own.add_mail(me, code) == Refused("not_now")
    assert office.own.remove_second_factor(me, code) == Wrong(), "it has been used"
    code = office.sign_in.mail_code(me.session, me.user, HOME)
    assert isinstance(code, str)
    assert isinstance(office.own.remove_second_factor(me, code), SignedIn)


def test_one_session_ends_and_it_is_ones_own(office: Office) -> None:
    me, other = office.me(office.join()), office.password_step()
    bob = office.join("bob@people.test")
    assert office.own.end_session(me, other.session.id)
    assert office.accounts.sessions.find(other.token) is None
    assert not office.own.end_session(me, other.session.id)
    assert not office.own.end_session(me, bob.session.id), "another's is not there (B37)"
    assert office.accounts.sessions.find(bob.token) is not None


def test_known_browsers_are_forgotten(office: Office) -> None:
    done = office.join()
    assert device_digest(done.device) in office.user().devices
    assert office.own.forget_devices(office.me(done))
    assert office.user().devices == ()


def test_whoever_is_disabled_meanwhile_changes_nothing(office: Office) -> None:
    me = office.me(office.join())
    office.accounts.users.change(
        me.user.id, lambda user: msgspec.structs.replace(user, disabled=True)
    )
    assert office.own.change_password(me, NEW) == Refused("not_now")
    assert office.own.end_other_sessions(me) == Refused("not_now")
