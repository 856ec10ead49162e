"""People in the console: invited, given roles, disabled, and never without an owner."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from shared.accounts.user import User
from tests.support.console import Browser, ConsoleApi
from tests.support.letters import letters, link_in
from tests.unit.web.console.test_aside import HOSTILE, seen
from web.console.views import people
from web.console.views.person import ACTS

_LINK = re.compile(r"https://console\.example\.test/console/(invitation|reset)/[\w-]+")
INVITED = {"login": "New@People.test", "name": "Nora New", "role": "operator"}


@pytest.fixture
def owner(console: ConsoleApi) -> Browser:
    """An owner who can sign in."""
    return console.signed_in("owner", password="$argon2id$")


@pytest.fixture
def mute() -> ConsoleApi:
    """A console that can send no mail."""
    return ConsoleApi(mail_from="")


def acts(console: ConsoleApi) -> list[str]:
    return [each.act for each in console.desk.records.trail()]


def now(console: ConsoleApi, user: User) -> User:
    found = console.desk.users.get(user.id)
    assert found
    return found


def test_people_are_listed(console: ConsoleApi, owner: Browser) -> None:
    console.user("reader", second_factor="totp", password="x", seen_ms=console.clock.now_ms())
    console.user("developer", disabled=True)
    text = seen(owner.get("/people").text)
    assert "Owner (you) owner@people.test owner none not yet active" in text
    assert "reader@people.test reader app 2027-01-15 08:00:00 UTC active" in text
    assert "developer@people.test developer none not yet disabled" in text
    assert "Nobody is invited" in text


def test_people_come_in_pages(
    console: ConsoleApi, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PAGE", 2)
    for n in range(3):
        console.user("reader", f"r{n}@people.test")
    text = owner.get("/people").text
    assert "r0@people.test" in text
    assert "r1@people.test" not in text
    text = owner.get("/people?after=r0@people.test").text
    assert "r2@people.test" in text
    assert "owner@people.test" not in text.partition("<main")[2]


def test_an_invitation_goes_by_mail(console: ConsoleApi, owner: Browser) -> None:
    answer = owner.post("/people/invitations", INVITED)
    assert answer.headers["Location"] == "/console/people?notice=invited"
    ((head, content),) = letters(console, "new@people.test")
    assert "Owner invites you" in (content.text or "")
    assert link_in(content).startswith("/invitation/")
    text = owner.get("/people?notice=invited").text
    assert "The invitation was sent" in text
    assert "Nora New new@people.test operator owner@people.test" in seen(text)
    assert link_in(content) not in text
    assert acts(console) == ["invitation.made"]
    assert head.metadata == {"console": "private"}


def test_without_mail_the_link_is_shown_once(mute: ConsoleApi) -> None:
    browser = mute.signed_in("owner")
    assert "Mail cannot be sent" in browser.get("/people/invite").text
    answer = browser.post("/people/invitations", INVITED)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    link = _LINK.search(answer.text)
    assert link
    assert not _LINK.search(browser.get("/people").text)
    assert not any(link[0].rpartition("/")[2] in repr(each) for each in mute.desk.records.trail())
    mute.close()


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"login": "nobody"}, "login", "no e-mail address"),
        ({"login": ""}, "login", "no e-mail address"),
        ({"login": "a@b.test\r\nBcc: c@d.test"}, "login", "no e-mail address"),
        ({"login": "OWNER@people.test"}, "login", "has an account"),
        ({"role": "emperor"}, "role", "One of these"),
        ({"login": HOSTILE, "name": HOSTILE}, "login", "no e-mail address"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    console: ConsoleApi, owner: Browser, fields: dict[str, str], field: str, words: str
) -> None:
    answer = owner.post("/people/invitations", {**INVITED, **fields})
    assert answer.status_code == 422
    found = re.search(rf'id="{field}-error">([^<]+)', answer.text)
    assert found
    assert words in found[1]
    assert "<script>alert" not in answer.text
    assert acts(console) == []
    assert letters(console) == []


def test_a_new_link_ends_the_one_before_and_withdrawing_ends_both(
    console: ConsoleApi, owner: Browser
) -> None:
    owner.post("/people/invitations", INVITED)
    (link,) = console.desk.accounts.links.invitations()
    owner.post(f"/people/invitations/{link.id}/resend")
    tokens = [link_in(each).rpartition("/")[2] for _, each in letters(console, "new@people.test")]
    find = console.desk.accounts.links.find
    assert [find(each) is not None for each in tokens] == [False, True]
    answer = owner.post(f"/people/invitations/{link.id}/withdraw")
    assert answer.headers["Location"] == "/console/people?notice=invitation_withdrawn"
    assert find(tokens[1]) is None
    assert acts(console) == ["invitation.withdrawn", "invitation.made", "invitation.made"]
    for act in ("resend", "withdraw"):
        for link_id in (link.id, "nothing", "00"):
            assert owner.post(f"/people/invitations/{link_id}/{act}").status_code == 404


def test_a_changed_role_holds_and_ends_sessions(console: ConsoleApi, owner: Browser) -> None:
    other = console.signed_in("reader")
    assert other.get("/keys").status_code == 403
    path = f"/people/{other.user.id}"
    answer = owner.post(f"{path}/role", {"role": "developer"})
    assert answer.headers["Location"] == f"/console{path}?notice=person_role"
    assert now(console, other.user).role == "developer"
    assert other.get("/").status_code == 303
    (entry,) = console.desk.records.trail()
    assert (entry.act, entry.what, entry.login) == (
        "user.role_changed", other.user.id, "owner@people.test",
    )  # fmt: skip
    answer = owner.post(f"{path}/role", {"role": "developer"})
    assert (answer.status_code, "It is so already" in answer.text) == (422, True)
    answer = owner.post(f"{path}/role", {"role": "emperor"})
    assert (answer.status_code, 'id="role-error">One of these' in answer.text) == (422, True)


def test_the_last_owner_stays_one(console: ConsoleApi, owner: Browser) -> None:
    console.user("owner", "disabled@people.test", password="x", disabled=True)
    console.user("owner", "invited@people.test")  # Has no password, so cannot sign in.
    path = f"/people/{owner.user.id}"
    answer = owner.post(f"{path}/role", {"role": "reader"})
    assert answer.status_code == 422
    assert 'id="role-error">This is the last owner' in answer.text
    other = console.signed_in("owner", login="second@people.test")
    answer = other.post(f"{path}/disable")
    assert (answer.status_code, "This is the last owner" in answer.text) == (422, True)
    kept = now(console, owner.user)
    assert (kept.role, kept.disabled) == ("owner", False)
    console.user("owner", "third@people.test", password="x")
    assert owner.post(f"{path}/role", {"role": "reader"}).status_code == 303
    assert now(console, owner.user).role == "reader"


@pytest.mark.parametrize("act", ACTS)
def test_nobody_does_it_to_the_own_account(console: ConsoleApi, owner: Browser, act: str) -> None:
    console.user("owner", "second@people.test", password="x")
    path = f"/people/{owner.user.id}/{act}"
    asked, done = owner.get(path), owner.post(path)
    assert "You cannot do this to yourself" in asked.text
    assert f'action="/console{path}"' not in asked.text
    assert (done.status_code, "You cannot do this to yourself" in done.text) == (422, True)
    assert now(console, owner.user) == owner.user
    assert acts(console) == []


def test_disabling_shuts_out_and_enabling_lets_in(console: ConsoleApi, owner: Browser) -> None:
    other = console.signed_in("operator", password="x")
    path = f"/people/{other.user.id}"
    assert "Signing in is refused from now on" in owner.get(f"{path}/disable").text
    assert other.get("/").status_code == 200
    answer = owner.post(f"{path}/disable")
    assert answer.headers["Location"] == f"/console{path}?notice=person_disable"
    assert other.get("/").status_code == 303
    text = owner.get(path).text
    assert "Enable…" in text
    assert "Disable…" not in text
    for act in ("new-password", "second-factor"):
        answer = owner.post(f"{path}/{act}")
        assert (answer.status_code, "enable it first" in answer.text) == (422, True)
    assert owner.post(f"{path}/disable").status_code == 422
    owner.post(f"{path}/enable")
    assert now(console, other.user).disabled is False
    assert acts(console) == ["user.enabled", "user.disabled"]


def test_b26_sessions_are_ended(console: ConsoleApi, owner: Browser) -> None:
    other = console.signed_in("operator")
    path = f"/people/{other.user.id}"
    assert "Sessions 1, the last one used" in seen(owner.get(path).text)
    owner.post(f"{path}/end-sessions")
    assert other.get("/").status_code == 303
    assert "Sessions 0" in seen(owner.get(path).text)
    assert owner.get("/").status_code == 200


def test_a_lost_second_factor_is_removed_and_told(console: ConsoleApi, owner: Browser) -> None:
    other = console.signed_in(
        "operator", password="x", second_factor="totp", recovery_codes=(b"1",)
    )
    path = f"/people/{other.user.id}"
    assert "Be sure that it is the person who asks" in owner.get(f"{path}/second-factor").text
    answer = owner.post(f"{path}/second-factor")
    assert answer.headers["Location"] == f"/console{path}?notice=person_second-factor"
    after = now(console, other.user)
    assert (after.second_factor, after.recovery_codes, after.password) == ("none", (), "")
    assert other.get("/").status_code == 303
    console.desk.afterwards.wait()
    told, link = sorted(
        letters(console, "operator@people.test"), key=lambda each: "new password" in each[0].subject
    )
    assert "second factor" in told[0].subject
    assert link_in(link[1]).startswith("/reset/")
    assert set(acts(console)) == {"reset.made", "second_factor.removed"}


def test_a_link_for_a_new_password_is_mailed_or_shown(mute: ConsoleApi) -> None:
    browser, user = mute.signed_in("owner"), mute.user("reader", password="x")
    answer = browser.post(f"/people/{user.id}/new-password")
    assert answer.status_code == 200
    assert _LINK.search(answer.text)
    assert "sets the password of the account" in answer.text
    assert now(mute, user).password == "x"
    mute.close()


def test_failed_tries_are_forgotten(console: ConsoleApi, owner: Browser) -> None:
    user = console.user("reader")
    answer = owner.post(f"/people/{user.id}/unlock")
    assert answer.headers["Location"].endswith("?notice=person_unlock")
    assert acts(console) == ["user.unlocked"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/people/invite"), ("post", "/people/invitations"), ("get", "/people/{}/disable"),
        ("post", "/people/{}/disable"), ("post", "/people/{}/role"),
        ("post", "/people/{}/second-factor"),
    ],
)  # fmt: skip
def test_changes_ask_for_the_password_again(
    console: ConsoleApi, owner: Browser, method: str, path: str
) -> None:
    user = console.user("reader")
    console.clock.advance(3600)
    answer = getattr(owner, method)(path.format(user.id))
    assert answer.headers["Location"].startswith("/console/confirm?next=")
    assert acts(console) == []


@pytest.mark.parametrize("user_id", ["nothing", "usr_0000000000000000", "%00", "invitations"])
def test_b37_there_is_no_other_person(owner: Browser, user_id: str) -> None:
    assert owner.get(f"/people/{user_id}").status_code == 404
    assert owner.post(f"/people/{user_id}/role", {"role": "owner"}).status_code == 404
    for act in ACTS:
        assert owner.get(f"/people/{user_id}/{act}").status_code == 404
        assert owner.post(f"/people/{user_id}/{act}").status_code == 404
    assert owner.post(f"/people/{owner.user.id}/burn").status_code == 404


def test_b37_no_field_changes_more_than_its_form_says(console: ConsoleApi, owner: Browser) -> None:
    user = console.user("reader")
    fields: dict[str, Any] = {"role": "developer", "disabled": "1", "login": "x@y.test"}
    owner.post(f"/people/{user.id}/role", fields)
    after = now(console, user)
    assert (after.role, after.disabled, after.login) == ("developer", False, "reader@people.test")


def test_b23_names_are_shown_as_text(console: ConsoleApi, owner: Browser) -> None:
    user = console.user("reader")
    console.desk.users.change(user.id, lambda each: msgspec.structs.replace(each, name=HOSTILE))
    owner.post("/people/invitations", {**INVITED, "name": HOSTILE})
    pages = ("/people", f"/people/{user.id}", f"/people/{user.id}/disable")
    for path in pages:
        text = owner.get(path).text
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text
