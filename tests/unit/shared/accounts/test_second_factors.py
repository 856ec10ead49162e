"""Seeds, codes of apps, recovery codes and codes by mail, each by itself."""

from __future__ import annotations

import pytest

from shared.accounts import recovery, totp
from shared.accounts.mailed_codes import MailedCodes
from shared.accounts.sealing import Sealer
from shared.clock import ManualClock
from shared.store.memory_records import MemoryRecords

SEED = b"12345678901234567890"
STEP = 1_800_000_000_000 // totp.STEP_MS


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.code_at(SEED, seconds // 30) == code
    assert totp.step_of(SEED, code, seconds * 1000) == seconds // 30


def test_b27_a_code_counts_one_step_to_each_side_and_no_more() -> None:
    begins = STEP * totp.STEP_MS
    for now in (begins, begins + 15_000, begins + totp.STEP_MS - 1):
        fits = [
            away
            for away in range(-4, 5)
            if totp.step_of(SEED, totp.code_at(SEED, STEP + away), now) == STEP + away
        ]
        assert fits == [-1, 0, 1]
    assert totp.step_of(SEED, totp.code_at(SEED, STEP), begins - totp.STEP_MS - 1) is None
    assert totp.step_of(SEED, totp.code_at(SEED, 0), 0) == 0


def test_b27_all_steps_are_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = totp.hmac.compare_digest  # type: ignore[attr-defined]  # As the module has it.

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return bool(real(one, other))

    monkeypatch.setattr("shared.accounts.totp.hmac.compare_digest", compare)
    for away in (-1, 0, 1, 5):
        totp.step_of(SEED, totp.code_at(SEED, STEP + away), STEP * totp.STEP_MS)
    assert len(compared) == 12


@pytest.mark.parametrize(
    "text",
    ["", "12345", "1234567", "12345a", "-------", "١٢٣٤٥٦", "1" * 1000, "\ud80012345", "²²²²²²"],
)
def test_what_is_no_code_is_none(text: str) -> None:
    found = totp.digits_of(text, 6)
    assert found in ("", "222222")
    assert totp.step_of(SEED, text, STEP * totp.STEP_MS) is None


@pytest.mark.parametrize("text", ["287082", "287 082", " 287-082\n", "２８７０８２"])
def test_a_code_is_read_as_people_type_it(text: str) -> None:
    assert totp.step_of(SEED, text, 59_000) == 1


def test_an_app_reads_the_address() -> None:
    uri = totp.uri_of(SEED, "ann&co@people.test", "Posthaste (console.example.test)")
    assert uri.startswith("otpauth://totp/Posthaste%20%28console.example.test%29:ann%26co%40people")
    assert f"secret={totp.secret_of(SEED)}" in uri
    assert len({totp.new_seed() for _ in range(50)}) == 50


def test_b27_recovery_codes_are_kept_as_digests_and_used_once() -> None:
    shown, kept = recovery.new_codes()
    assert len(set(shown)) == len(set(kept)) == 10
    assert not any(text.replace("-", "").encode() in b"".join(kept) for text in shown)
    left = kept
    for text in shown:
        typed = text.upper().replace("-", " ").replace("0", "O").replace("1", "l")
        after = recovery.left_after(left, typed)
        assert after is not None
        assert len(after) == len(left) - 1
        assert recovery.left_after(after, text) is None
        left = after
    assert left == ()


@pytest.mark.parametrize("text", ["", "0000-0000-0000-0000", "x" * 10_000, "\ud800"])
def test_what_is_no_recovery_code_is_none(text: str) -> None:
    assert recovery.left_after(recovery.new_codes()[1], text) is None


def test_b27_a_sealed_seed_opens_for_its_user_alone() -> None:
    sealer = Sealer((b"k" * 32,))
    sealed = sealer.seal("usr_1", SEED)
    assert SEED not in sealed
    assert sealed != sealer.seal("usr_1", SEED)
    assert sealer.open("usr_1", sealed) == SEED
    assert sealer.open("usr_2", sealed) is None
    assert Sealer((b"o" * 32,)).open("usr_1", sealed) is None
    assert Sealer(()).open("usr_1", sealed) is None
    for at in range(len(sealed)):
        damaged = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
        assert sealer.open("usr_1", damaged) is None
        assert sealer.open("usr_1", sealed[:at]) is None
    with pytest.raises(ValueError, match="key"):
        Sealer(()).seal("usr_1", SEED)


def test_what_the_key_before_has_sealed_opens_and_is_sealed_anew() -> None:
    before, now = Sealer((b"o" * 32,)), Sealer((b"n" * 32, b"o" * 32))
    sealed = before.seal("usr_1", SEED)
    assert now.open("usr_1", sealed) == SEED
    again = now.renewed("usr_1", sealed)
    assert Sealer((b"n" * 32,)).open("usr_1", again) == SEED
    assert now.renewed("usr_1", again) == again
    assert now.renewed("usr_1", b"damaged") == b"damaged"


class Post:
    """Codes by mail."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.records = MemoryRecords(self.clock)
        self.codes = MailedCodes(self.records, self.clock, (b"k" * 32,))

    def send(self, session_id: str = "s1") -> str:
        code, change = self.codes.made(session_id)
        assert self.records.write([change])
        return code

    def take(self, code: str, session_id: str = "s1") -> bool:
        change = self.codes.taken(session_id, code)
        return change is not None and self.records.write([change])


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


def test_b27_a_mailed_code_is_for_one_session_and_one_use() -> None:
    post = Post()
    code = post.send()
    assert len(code) == 8
    assert not post.take(code, "s2")
    assert post.take(f"{code[:4]} {code[4:]}")
    assert not post.take(code)


def test_b27_a_mailed_code_has_five_tries() -> None:
    post = Post()
    code = post.send()
    for _ in range(4):
        assert not post.take(other_than(code))
    assert post.take(code)
    code = post.send()
    for _ in range(5):
        assert not post.take(other_than(code))
    assert not post.take(code)


def test_b27_a_mailed_code_ends_after_ten_minutes_and_with_the_next() -> None:
    post = Post()
    code = post.send()
    post.clock.advance(300)
    assert not post.take(other_than(code)), "a wrong try makes it last no longer"
    post.clock.advance(299)
    assert post.codes.taken("s1", code)
    post.clock.advance(1)
    assert not post.take(code)
    first = post.send()
    second = post.send()
    assert first == second or not post.take(first)
    assert post.take(second)


def test_b27_the_store_has_no_code_that_could_be_tried_out() -> None:
    post = Post()
    code = post.send()
    (packed,) = post.records.all("mailed-codes").values()
    assert code.encode() not in packed
    other = MailedCodes(post.records, post.clock, (b"o" * 32,))
    assert other.taken("s1", code) is None, "its digest is under the console's key"
