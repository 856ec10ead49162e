"""Links: for the first owner, for whom was invited, for a new password."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from shared.accounts.actor import CLI, actor_of
from shared.accounts.first import first_link
from shared.accounts.joining import Form
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak, Wrong
from shared.accounts.people import Invited
from shared.accounts.user import User
from shared.accounts.users import new_id
from tests.unit.shared.accounts.people import HOME, PASSWORD, SHORT, Office

HOUR = 3600


def invited(office: Office, login: str = "bob@people.test", role: Any = "reader") -> Invited:
    found = office.people.invite(CLI, login, "Bob", role)
    assert isinstance(found, Invited)
    return found


def test_the_first_owner_comes_in_by_a_link_and_then_there_is_none(office: Office) -> None:
    token = office.first()
    assert token != office.first()
    assert office.joining.look(token) is None, "the one made last counts"
    token = office.first()
    done = office.joining.accept(token, Form(PASSWORD, "Ann@People.test", "Ann\r\nLee"), HOME)
    assert isinstance(done, SignedIn)
    assert (done.user.role, done.user.login, done.user.name) == (
        "owner", "ann@people.test", "Ann Lee",
    )  # fmt: skip
    assert done.session.level == "full"
    assert office.joining.accept(token, Form(PASSWORD, "b@people.test"), HOME) == Refused("link")
    assert first_link(office.records, office.clock, office.settings) is None
    assert office.acts()[-1] == "first.accepted"


def test_without_an_owner_who_can_sign_in_there_is_a_link_again(office: Office) -> None:
    office.accounts.users.add(User(new_id(), "x@people.test", "X", "owner", 0))
    assert office.first()
    office.join("ann@people.test", "operator")
    assert office.first()


def test_a_link_of_the_first_owner_ends_when_there_is_one_by_another_way(office: Office) -> None:
    token = office.first()
    office.join()
    form = Form(PASSWORD, "mallory@people.test")
    assert office.joining.accept(token, form, HOME) == Refused("link")


@pytest.mark.parametrize(
    "login",
    [
        "",
        "ann",
        "ann@",
        "a b@people.test",
        "ann@people.test\r\nBcc: x@y.test",
        "ann@[192.0.2.1]",
        "ann@fa\u00df.test",
        "stra\u00dfe@people.test",
        "\ufb01ona@people.test",
        "x" * 250 + "@people.test",
    ],
)
def test_a_login_is_an_address(office: Office, login: str) -> None:
    token = office.first()
    assert office.joining.accept(token, Form(PASSWORD, login), HOME) == Refused("login")
    assert office.joining.look(token) is not None, "it can be tried again"


def test_whoever_was_invited_has_the_login_and_role_of_the_invitation(office: Office) -> None:
    link = invited(office, role="developer")
    form = Form(PASSWORD, login="owner@people.test", name="Bobby")
    done = office.joining.accept(link.token, form, HOME)
    assert isinstance(done, SignedIn)
    assert (done.user.login, done.user.role, done.user.name) == (
        "bob@people.test", "developer", "Bobby",
    )  # fmt: skip
    assert office.joining.accept(link.token, form, HOME) == Refused("link")
    assert office.accounts.links.invitations() == []


def test_a_new_invitation_ends_the_one_before_and_one_can_be_withdrawn(office: Office) -> None:
    first, second = invited(office), invited(office)
    assert office.joining.accept(first.token, Form(PASSWORD), HOME) == Refused("link")
    (listed,) = office.accounts.links.invitations()
    assert listed == second.link
    assert office.people.withdraw(CLI, listed.id)
    assert not office.people.withdraw(CLI, listed.id)
    assert not office.people.withdraw(CLI, "00")
    assert office.joining.accept(second.token, Form(PASSWORD), HOME) == Refused("link")


def test_an_invitation_ends_with_the_right_of_who_has_made_it(office: Office) -> None:
    office.join("ann@people.test")
    bob = office.join("bob@people.test")
    made = office.people.invite(actor_of(bob.user, HOME), "friend@people.test", "", "owner")
    assert isinstance(made, Invited)
    office.people.change_role(CLI, bob.user.id, "operator")
    assert office.joining.accept(made.token, Form(PASSWORD), HOME) == Refused("link")
    office.people.change_role(CLI, bob.user.id, "owner")
    office.people.disable(CLI, bob.user.id)
    assert office.joining.accept(made.token, Form(PASSWORD), HOME) == Refused("link")
    office.people.enable(CLI, bob.user.id)
    assert isinstance(office.joining.accept(made.token, Form(PASSWORD), HOME), SignedIn)


@pytest.mark.parametrize(
    ("purpose", "seconds"), [("first", 24 * HOUR), ("invitation", 72 * HOUR), ("reset", HOUR // 2)]
)
def test_a_link_ends_by_itself(office: Office, purpose: str, seconds: int) -> None:
    if purpose == "first":
        token = office.first()
    elif purpose == "invitation":
        token = invited(office).token
    else:
        office.join()
        asked = office.sign_in.ask_reset("ann@people.test", HOME)
        assert isinstance(asked, tuple)
        token = asked[1]
    office.clock.advance(seconds - 1)
    assert office.joining.look(token) is not None
    office.clock.advance(1)
    assert office.joining.look(token) is None
    form = Form(PASSWORD, "ann@people.test")
    assert office.joining.accept(token, form, HOME) == Refused("link")


def test_the_store_has_no_token_and_a_changed_one_is_none(office: Office) -> None:
    token = invited(office).token
    stored = b"".join(office.records.all("links").values())
    assert token.encode() not in stored
    assert token[12:].encode() not in stored
    for other in (
        "",
        token[:-1],
        token[:12],
        token + "x",
        token[:12] + "x" * 43,
        "é" * 55,
        "\ud800",
    ):
        assert office.joining.look(other) is None


def test_b28_a_weak_password_leaves_the_link_as_it_is(office: Office) -> None:
    link = invited(office)
    answer = office.joining.accept(link.token, Form("bob bob bob"), HOME)
    assert isinstance(answer, Weak)
    assert [each.code for each in answer.weaknesses] == ["too_short", "repeated", "about"]
    assert isinstance(office.joining.accept(link.token, Form(PASSWORD), HOME), SignedIn)


def test_b28_a_short_password_comes_with_an_app_at_once(office: Office) -> None:
    link = invited(office)
    setup = office.joining.new_app(link.token, link.link)
    seed = base64.b32decode(setup.secret)
    assert isinstance(
        office.joining.accept(link.token, Form(SHORT, sealed=setup.sealed), HOME), Weak
    )
    wrong = Form(SHORT, sealed=setup.sealed, code=office.code(seed, 5))
    assert office.joining.accept(link.token, wrong, HOME) == Wrong()
    again = office.joining.new_app(link.token, link.link, setup.sealed)
    assert again.secret == setup.secret
    elsewhere = office.joining.new_app("another", link.link, setup.sealed)
    assert elsewhere.secret != setup.secret
    right = Form(SHORT, sealed=setup.sealed, code=office.code(seed))
    done = office.joining.accept(link.token, right, HOME)
    assert isinstance(done, Codes)
    assert done.signed_in.session.level == "full"
    assert not done.signed_in.user.password_alone
    assert len(done.codes) == 10
    begun = office.sign_in.attempt("bob@people.test", SHORT, HOME)
    assert isinstance(begun, SignedIn)
    assert begun.session.level == "password"


def reset_of(office: Office, login: str = "ann@people.test") -> str:
    asked = office.sign_in.ask_reset(login, HOME)
    assert isinstance(asked, tuple)
    return asked[1]


def test_b26_a_reset_ends_all_sessions_and_the_link_before(office: Office) -> None:
    done = office.join()
    old, new = reset_of(office), reset_of(office)
    assert office.joining.accept(old, Form("a new quiet password"), HOME) == Refused("link")
    answer = office.joining.accept(new, Form("a new quiet password"), HOME)
    assert isinstance(answer, SignedIn)
    assert answer.session.level == "full"
    assert office.accounts.sessions.find(done.token) is None
    assert answer.session.is_of(office.user())
    assert len(office.user().devices) == 1, "only the browser that has done it is known"
    assert office.sign_in.attempt("ann@people.test", PASSWORD, HOME) == Wrong()
    assert office.joining.accept(new, Form("yet another password"), HOME) == Refused("link")


def test_b27_a_reset_is_no_way_around_the_second_step(office: Office) -> None:
    seed, _ = office.add_app(office.join())
    token = reset_of(office)
    link = office.joining.look(token)
    assert link is not None
    assert office.joining.has_app(link)
    setup = office.joining.new_app(token, link)
    mine = base64.b32decode(setup.secret)
    form = Form(SHORT, sealed=setup.sealed, code=office.code(mine))
    answer = office.joining.accept(token, form, HOME)
    assert isinstance(answer, SignedIn)
    assert (answer.session.level, answer.device) == ("password", "")
    session = answer.session
    for code, right in ((office.code(mine), False), (office.code(seed), True)):
        done = office.sign_in.second_step(answer.token, session, answer.user, code, HOME)
        assert isinstance(done, SignedIn) is right


def test_a_reset_lets_in_whom_others_keep_out(office: Office) -> None:
    office.join()
    for _ in range(6):
        office.sign_in.attempt("ann@people.test", "wrong", HOME)
    assert isinstance(office.sign_in.attempt("ann@people.test", PASSWORD, HOME), Wait)
    assert isinstance(
        office.joining.accept(reset_of(office), Form("a quiet new one"), HOME), SignedIn
    )


def test_a_reset_of_whom_is_disabled_meanwhile_does_nothing(office: Office) -> None:
    office.join("bob@people.test")
    ann = office.join()
    token = reset_of(office)
    office.people.disable(CLI, ann.user.id)
    assert office.joining.accept(token, Form("a quiet new one"), HOME) == Refused("link")
    office.people.enable(CLI, ann.user.id)
    assert office.joining.accept(token, Form("a quiet new one"), HOME) == Refused("link")


@pytest.mark.parametrize("agent", ["x" * 100_000])
def test_what_a_browser_calls_itself_is_cut_off(office: Office, agent: str) -> None:
    client = msgspec.structs.replace(HOME, agent=agent)
    link = invited(office)
    done = office.joining.accept(link.token, Form(PASSWORD), client)
    assert isinstance(done, SignedIn)
    assert len(done.session.agent) == 200


def test_b26_a_link_for_a_new_password_goes_with_the_role_of_who_has_made_it(
    office: Office,
) -> None:
    ann, bob = office.join("ann@people.test"), office.join("bob@people.test")
    made = office.people.reset_link(actor_of(bob.user, HOME), ann.user.id)
    assert isinstance(made, Invited)
    assert isinstance(office.people.change_role(CLI, bob.user.id, "reader"), User)
    assert office.joining.accept(made.token, Form("eight quiet herons"), HOME) == Refused("link")
    asked = office.sign_in.ask_reset("ann@people.test", HOME)
    assert isinstance(asked, tuple)
    done = office.joining.accept(asked[1], Form("eight quiet herons"), HOME)
    assert isinstance(done, SignedIn)
