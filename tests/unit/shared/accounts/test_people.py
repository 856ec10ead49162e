"""What owners do to accounts of others."""

from __future__ import annotations

from shared.accounts.actor import CLI, Actor, Client
from shared.accounts.joining import Form
from shared.accounts.outcome import Refused, SignedIn, Wait, Wrong
from shared.accounts.people import Invited
from shared.accounts.throttle import FREE
from shared.accounts.user import User
from shared.accounts.users import new_id
from tests.unit.shared.accounts.people import HOME, PASSWORD, SHORT, Office

ANN = Actor("usr_ann", "ann@people.test", Client("192.0.2.1"))


def test_the_last_owner_is_neither_disabled_nor_demoted(office: Office) -> None:
    ann = office.join().user.id
    office.join("dora@people.test", "operator")
    # Owners who could not sign in do not count.
    office.accounts.users.add(User(new_id(), "x@people.test", "X", "owner", 0))
    bob = office.join("bob@people.test").user.id
    assert isinstance(office.people.disable(ANN, bob), User)
    for _ in range(2):
        assert office.people.disable(ANN, ann) == Refused("last_owner")
        assert office.people.change_role(ANN, ann, "reader") == Refused("last_owner")
    assert isinstance(office.people.enable(ANN, bob), User)
    assert isinstance(office.people.change_role(ANN, ann, "reader"), User)
    assert office.people.change_role(ANN, bob, "reader") == Refused("last_owner")


def test_b26_a_change_of_what_one_may_ends_ones_sessions(office: Office) -> None:
    office.join()
    for act in (
        lambda user_id: office.people.change_role(ANN, user_id, "operator"),
        lambda user_id: office.people.disable(ANN, user_id),
        lambda user_id: office.people.end_sessions(ANN, user_id),
        lambda user_id: office.people.reset_link(ANN, user_id, second_factor_too=True),
    ):
        bob = office.accounts.users.find("bob@people.test")
        done = office.join("bob@people.test", "reader") if bob is None else _in(office)
        assert not isinstance(act(done.user.id), Refused)
        assert office.accounts.sessions.find(done.token) is None
        assert office.accounts.sessions.live(office.user("bob@people.test")) == []
        office.people.enable(ANN, done.user.id)


def _in(office: Office) -> SignedIn:
    return office.password_step("bob@people.test")


def test_whoever_is_disabled_gets_in_no_more_until_enabled(office: Office) -> None:
    office.join()
    done = office.join("bob@people.test")
    office.people.disable(ANN, done.user.id)
    assert office.people.disable(ANN, done.user.id) == Refused("not_now")
    assert office.sign_in.attempt("bob@people.test", PASSWORD, HOME) == Wrong()
    assert office.people.reset_link(ANN, done.user.id) == Refused("unknown")
    office.people.enable(ANN, done.user.id)
    assert office.people.enable(ANN, done.user.id) == Refused("not_now")
    assert not done.session.is_of(office.user("bob@people.test")), "old sessions stay ended"
    assert isinstance(office.sign_in.attempt("bob@people.test", PASSWORD, HOME), SignedIn)


def test_of_nobody_is_nothing_changed(office: Office) -> None:
    for answer in (
        office.people.disable(ANN, "usr_x"),
        office.people.enable(ANN, "usr_x"),
        office.people.change_role(ANN, "usr_x", "owner"),
        office.people.end_sessions(ANN, "usr_x"),
        office.people.unlock(ANN, "usr_x"),
        office.people.reset_link(ANN, "usr_x"),
    ):
        assert answer == Refused("unknown")
    assert office.acts() == []


def test_a_lost_second_factor_goes_with_a_short_password(office: Office) -> None:
    done = office.join()
    _, codes = office.add_app(done)
    office.own.change_password(office.me(codes.signed_in), SHORT)
    made = office.people.reset_link(CLI, done.user.id, second_factor_too=True)
    assert isinstance(made, Invited)
    user = office.user()
    assert (user.second_factor, user.password) == ("none", "")
    assert office.sign_in.attempt("ann@people.test", SHORT, HOME) == Wrong()
    answer = office.joining.accept(made.token, Form(PASSWORD), HOME)
    assert isinstance(answer, SignedIn)
    assert answer.session.level == "full"
    entries = {each.act: each.who for each in office.records.trail()}
    assert (entries["second_factor.removed"], entries["reset.made"]) == ("cli", "cli")


def test_a_password_that_stands_alone_stays_without_the_second_factor(office: Office) -> None:
    done = office.join()
    office.add_app(done)
    assert isinstance(office.people.reset_link(CLI, done.user.id, second_factor_too=True), Invited)
    assert office.password_step().session.level == "full"


def test_unlocking_forgets_tries_of_any_browser(office: Office) -> None:
    done = office.join()
    known = Client("192.0.2.7", "x", done.device)
    for number in range(FREE):
        office.sign_in.attempt("ann@people.test", "wrong", Client(f"198.51.100.{number}"))
        office.sign_in.attempt("ann@people.test", "wrong", known)
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, HOME), Wait)
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, known), Wait)
    office.people.unlock(CLI, done.user.id)
    for client in (HOME, known):
        assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, client), SignedIn)


def test_each_act_is_in_the_audit_trail(office: Office) -> None:
    office.join()
    made = office.people.invite(ANN, "bob@people.test", "Bob", "reader")
    assert isinstance(made, Invited)
    office.people.withdraw(ANN, made.link.id)
    bob = office.join("bob@people.test").user.id
    before = len(office.acts())
    office.people.change_role(ANN, bob, "operator")
    office.people.disable(ANN, bob)
    office.people.enable(ANN, bob)
    office.people.reset_link(ANN, bob)
    office.people.unlock(ANN, bob)
    office.people.end_sessions(ANN, bob)
    assert office.acts()[before:] == [
        "user.role_changed", "user.disabled", "user.enabled", "reset.made", "user.unlocked",
        "sessions.ended",
    ]  # fmt: skip
    entries = office.records.trail(limit=6)
    assert {(each.who, each.login, each.address, each.what) for each in entries} == {
        ("usr_ann", "ann@people.test", "192.0.2.1", bob)
    }
    assert entries[-1].details == {"role": "operator"}
    assert "invitation.made" in office.acts()
    assert "invitation.withdrawn" in office.acts()
