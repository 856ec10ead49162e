"""MTA-STS records and policies as texts (RFC 8461 sections 3.1, 3.2, 4.1)."""

from __future__ import annotations

import pytest

from workers.dns.sts_policy import MOST_SECONDS, NoPolicy, Policy, read_policy, record_id

GOOD = (
    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
    "mx: backupmx.example.com\nmax_age: 604800\n"
)
POLICY = Policy("enforce", ("mail.example.com", "*.example.net", "backupmx.example.com"), 604_800)


def changed(old: str, new: str) -> bytes:
    """The good policy with something else in one place."""
    assert old in GOOD
    return GOOD.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("records", "identity"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1; \t id=1 \t ;"], "1"),
        (["v=STSv1; new=a:b; id=1; other=/x"], "1"),
        (["v=STSv1; id=1; id=2"], "1"),
        (["v=STSv1; id=1", "v=spf1 -all", "v=STSv2; id=9", "v=STSv1 id=3"], "1"),
        (["v=STSv1; id=" + "a" * 32], "a" * 32),
        ([], None),
        (["v=STSv1; id=1", "v=STSv1; id=1"], None),
        (["v=STSv1; id=" + "a" * 33], None),
        (["v=STSv1;"], None),
        (["v=STSv1; id="], None),
        (["v=STSv1; id=a-b"], None),
        (["v=STSv1; id = 1"], None),
        (["v=STSv1;; id=1"], None),
        (["v=STSv1; id=1; =x"], None),
        (["v=STSv1; id=1; x"], None),
        (["v=STSv1; id=1; x=a b"], None),
        (["v=STSv1; id=1; x=ä"], None),
        (["V=STSv1; id=1"], None),
        (["v=STSv1; ID=1"], None),
        ([" v=STSv1; id=1"], None),
        (["v=STSv1; id=1\n"], None),
    ],
)
def test_a_record_has_an_id_or_does_not_count(records: list[str], identity: str | None) -> None:
    assert record_id(records) == identity


@pytest.mark.parametrize(
    "body",
    [
        GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        (GOOD + "\n\r\n").encode(),
        changed(": enforce", ":enforce"),
        changed(": enforce", ": \t enforce \t "),
        changed("mail.example.com", "MAIL.Example.com"),
        changed("mode", "new_field: über alles\nmode"),
        changed("max_age: 604800", "max_age: 604800\nmax_age: 1"),
        changed("mode: enforce", "mode: enforce\nmode: none"),
        changed("version: STSv1\n", "") + b"version: STSv1\n",
    ],
)
def test_a_good_policy_is_read(body: bytes) -> None:
    assert read_policy(body) == POLICY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>not found</html>",
        changed("version: STSv1\n", ""),
        changed("STSv1", "STSv2"),
        changed("STSv1", "stsv1"),
        changed("version", "Version"),
        changed("version", "\ufeffversion"),
        changed("mode: enforce\n", ""),
        changed("enforce", "Enforce"),
        changed("enforce", "strict"),
        changed("max_age: 604800\n", ""),
        changed("604800", str(MOST_SECONDS + 1)),
        changed("604800", "-1"),
        changed("604800", "1e3"),
        changed("604800", "٣"),
        changed("604800", "00000000001"),
        changed("604800", "604800 seconds"),
        changed("mail.example.com", "*.*.example.com"),
        changed("mail.example.com", "mail.*.com"),
        changed("mail.example.com", "*"),
        changed("mail.example.com", "*."),
        changed("mail.example.com", "*mail.example.com"),
        changed("mail.example.com", ".example.com"),
        changed("mail.example.com", "192.0.2.1"),
        changed("mail.example.com", "münchen.example"),
        changed("mail.example.com", "a.example, b.example"),
        changed("mx: mail.example.com", "mx:"),
        changed("mode: enforce", "mode : enforce"),
        changed("mode: enforce", "mode enforce"),
        changed("mode: enforce", " mode: enforce"),
        changed("mode: enforce", "mode: enforce\nx: a\x00b"),
        changed("\n", "\r"),
        GOOD.encode("utf-16"),
        GOOD.encode() + b"x: \xff\n",
        b"version: STSv1\nmode: testing\nmax_age: 1\n",
    ],
)
def test_a_policy_that_breaks_the_grammar_is_none(body: bytes) -> None:
    assert isinstance(read_policy(body), NoPolicy)


@pytest.mark.parametrize("age", [0, 1, MOST_SECONDS])
def test_the_bounds_of_max_age(age: int) -> None:
    policy = read_policy(changed("604800", str(age)))
    assert isinstance(policy, Policy)
    assert policy.max_age_seconds == age


def test_only_mode_none_needs_no_mx() -> None:
    policy = read_policy(b"version: STSv1\nmode: none\nmax_age: 86400\n")
    assert policy == Policy("none", (), 86_400)
    assert [Policy(mode, (), 1).enforced for mode in ("enforce", "testing", "none")] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("a.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("a.example.net.evil.test", False),
        ("evilexample.net", False),
        ("xmail.example.com", False),
        ("*.example.net", True),  # No host is called so, and one that is would be below it.
        ("", False),
        ("net", False),
    ],
)
def test_a_star_stands_for_one_label(host: str, matches: bool) -> None:
    assert POLICY.matches(host) is matches
