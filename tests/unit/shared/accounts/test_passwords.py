"""Which passwords are taken, and their hashes."""

from __future__ import annotations

import threading
import unicodedata
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters

from shared.accounts import passwords as module
from shared.accounts.passwords import Passwords, TooManyAtOnce
from shared.accounts.strength import estimate
from shared.console_settings import ConsoleSettings


def passwords(**console: Any) -> Passwords:
    return Passwords(ConsoleSettings(url="https://console.herons.example", **console))


def codes(password: str, *, two_factor: bool = False, **console: Any) -> list[str]:
    about = ("annabel.lee@people.test", "Annabel Lee")
    found = passwords(**console).weaknesses(password, two_factor=two_factor, about=about)
    assert all(each.detail.endswith(".") for each in found)
    return [each.code for each in found]


def test_b28_the_length_is_what_matters() -> None:
    assert codes("seven quiet birds") == []
    assert codes("fourteen signs") == ["too_short"]
    assert codes("eight it", two_factor=True) == []
    assert codes("seven i", two_factor=True) == ["too_short"]
    assert codes("ein langer Satz mit Umlauten: äöü") == []
    assert codes("七つの静かな鷺が川のほとりに立つ") == []
    assert codes("seven quiet birds", password_min_length=20) == ["too_short"]
    assert codes("seven quiet birds", password_classes=4) == ["classes"]
    assert codes("Seven quiet birds 7", password_classes=4) == []


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("password", "common"), ("Password1", "common"), ("P@ssw0rd", "common"),
        ("p4$$w0rd2026!", "common"), ("sunshine!!!!!!!", "common"), ("$un$h1ne", "common"),
        ("PASSWORDpassword", "common"), ("ｐａｓｓｗｏｒｄ", "common"),
        ("aaaaaaaaaaaaaaaa", "repeated"), ("abababababababab", "repeated"),
        ("herherherherher", "repeated"), ("1234567890123456", "sequence"),
        ("abcdefghijklmnop", "sequence"), ("qwertyuiopasdfgh", "sequence"),
        ("zyxwvutsrqponmlk", "sequence"), ("aaaabbbbcccc1234", "sequence"),
        ("posthaste-posthaste-1", "about"), ("annabel-lee-2026", "about"),
        ("4nn4b3l.p30pl3", "about"), ("console.herons!!", "about"),
    ],
)  # fmt: skip
def test_b28_what_is_tried_first_is_not_taken(password: str, code: str) -> None:
    assert code in codes(password, two_factor=True)


def test_b28_all_reasons_are_told_at_once() -> None:
    assert codes("annabel1", password_classes=3) == ["too_short", "classes", "about"]


@pytest.mark.parametrize(
    "password", ["password of a heron 7", "I met Annabel by the quiet river", "abc river 123 stone"]
)
def test_a_long_one_may_have_such_words_in_it(password: str) -> None:
    assert codes(password) == []


def test_b10_a_password_is_the_same_in_every_form_of_unicode_and_else_as_typed() -> None:
    found = passwords()
    hashed = found.hash(" Äpfel und Örtchen ")
    assert found.verify(hashed, unicodedata.normalize("NFD", " Äpfel und Örtchen "))
    for other in ("Äpfel und Örtchen", " äpfel und örtchen ", " Apfel und Ortchen ", ""):
        assert not found.verify(hashed, other)
    ligature = found.hash("ﬁfteen characters")
    assert not found.verify(ligature, "fifteen characters")


def test_b28_nothing_is_cut() -> None:
    found = passwords()
    longest = "x1" * 512
    hashed = found.hash(longest)
    assert found.verify(hashed, longest)
    assert not found.verify(hashed, longest[:-1] + "2")
    assert not found.verify(hashed, longest + "1")
    nul = found.hash("before\0after")
    assert not found.verify(nul, "before")


@pytest.mark.parametrize("password", ["x" * 1025, "ü" * 513, "x" * 10_000_000])
def test_b28_what_is_too_long_costs_nothing(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = passwords()
    hashed = found.hash("seven quiet herons")

    def hash_it(*arguments: object) -> bool:
        raise AssertionError("it was hashed")

    def normalize(form: str, text: str) -> str:
        assert len(text) <= 1024, "to normalise it would take time"
        return text

    monkeypatch.setattr(PasswordHasher, "verify", hash_it)
    monkeypatch.setattr(PasswordHasher, "hash", hash_it)
    monkeypatch.setattr("unicodedata.normalize", normalize)
    assert codes(password) == ["too_long"]
    assert not found.verify(hashed, password)
    with pytest.raises(ValueError, match="1,024"):
        found.hash(password)


def test_halves_of_surrogate_pairs_are_no_text() -> None:
    assert codes("seven quiet herons \ud800") == ["no_text"]
    assert not passwords().verify("", "\ud800")


def test_b28_a_hash_costs_what_owasp_asks_for() -> None:
    used = extract_parameters(passwords().hash("seven quiet herons"))
    assert used.type.name == "ID"
    assert used.memory_cost >= 19 * 1024
    assert used.time_cost >= 2
    assert used.parallelism == 1
    assert used.salt_len == 16


def test_a_hash_of_another_cost_is_made_anew() -> None:
    found = passwords()
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("seven quiet herons")
    assert found.verify(old, "seven quiet herons")
    assert found.needs_rehash(old)
    assert not found.needs_rehash(found.hash("seven quiet herons"))


def test_b28_for_nobody_as_much_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found, seen = passwords(), list[str]()
    real = PasswordHasher.verify

    def verify(self: PasswordHasher, hashed: str, password: bytes) -> bool:
        seen.append(hashed)
        return real(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    assert not found.verify("", "seven quiet herons")
    assert not found.verify("", "")
    for hashed in seen:
        parameters = extract_parameters(hashed)
        assert parameters == extract_parameters(found.hash("x"))
    assert len(seen) == 2


@pytest.mark.parametrize("hashed", ["x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "\0"])
def test_a_damaged_hash_is_nobodys(hashed: str) -> None:
    assert not passwords().verify(hashed, "seven quiet herons")


def test_b28_few_are_worked_out_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    going, most = list[int](), list[int]()
    release = threading.Event()

    def verify(self: PasswordHasher, hashed: str, password: bytes) -> bool:
        going.append(1)
        most.append(len(going))
        release.wait(10)
        going.pop()
        return True

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    monkeypatch.setattr(module, "_WAIT_SECONDS", 10)
    answers = list[bool]()
    threads = [
        threading.Thread(target=lambda: answers.append(passwords().verify("x", "y")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    refused = 0
    while not refused:  # As soon as all four stand in the queue.
        try:
            if module._QUEUE._value == 0:
                passwords().verify("x", "y")
        except TooManyAtOnce:
            refused = 1
    release.set()
    for thread in threads:
        thread.join(10)
    assert answers == [True] * 4
    assert max(most) == 2


def test_an_estimate_grows_with_what_there_is_to_guess() -> None:
    about = ("annabel.lee@people.test",)
    scores = [
        estimate(each, about).score
        for each in (
            "",
            "annabel",
            "password1234",
            "9 herons",
            "seven herons",
            "seven quiet herons",
        )
    ]
    assert scores == sorted(scores)
    assert scores[0] == 0
    assert scores[-1] == 4
    assert estimate("annabel.lee@people", about).score <= 1
    assert estimate("x" * 100_000).score <= 1
    assert estimate("seven quiet herons").words == "strong"
