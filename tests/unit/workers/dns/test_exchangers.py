"""Domains and MX records as texts."""

from __future__ import annotations

import pytest

from workers.dns.exchangers import domain_name, exchangers, is_null


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("under_score.example", "under_score.example"),
        ("ai", "ai"),
        ("", None),
        (".", None),
        ("a..b", None),
        (".a.b", None),
        ("a.b..", None),
        ("-a.example", None),
        ("a b.example", None),
        ("a.example\n", None),
        ("a\x00.example", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("a" * 64 + ".example", None),
        ("b." + "a" * 64 + ".example", None),
        (".".join(["a" * 60] * 5), None),
        ("ä" * 200 + ".example", None),
        ("\u200d.example", None),
        ("\ud800.example", None),
    ],
)
def test_a_domain_is_a_name_to_look_up_or_none(text: str, name: str | None) -> None:
    assert domain_name(text) == name


def test_hosts_have_their_lowest_preference() -> None:
    records = ["20 MX1.a.test.", "10 mx2.a.test.", "5 mx1.a.test.", "30 mx1.a.test."]
    assert exchangers(records) == {"mx1.a.test": 5, "mx2.a.test": 10}


@pytest.mark.parametrize("host", [".", "192.0.2.1.", "mx\\032x.a.test.", "-.", "*.a.test."])
def test_what_is_no_host_is_left_out(host: str) -> None:
    assert exchangers([f"0 {host}", "10 mx.a.test."]) == {"mx.a.test": 10}


@pytest.mark.parametrize(
    ("records", "null"),
    [
        (["0 ."], True),
        (["10 ."], True),
        (["0 .", "10 mx.a.test."], False),
        (["0 mx.a.test."], False),
        ([], False),
    ],
)
def test_a_null_mx_stands_alone(records: list[str], null: bool) -> None:
    assert is_null(records) is null
