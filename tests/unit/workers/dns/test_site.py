"""The name of a site: the same for the same hosts, another for others, fit for a key."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.dns.site import site_of, site_of_address

ALLOWED = re.compile(r"[a-z0-9._~-]{1,200}\Z")
LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_ABC", min_size=1, max_size=20)
HOST = st.lists(LABEL, min_size=1, max_size=12).map(".".join)
GOOGLE = [
    "gmail-smtp-in.l.google.com",
    "alt1.gmail-smtp-in.l.google.com",
    "alt2.gmail-smtp-in.l.google.com",
]


def test_one_host_is_its_own_site() -> None:
    assert site_of(["MX.Example.com."]) == "mx.example.com"


def test_several_hosts_are_known_by_the_shortest_and_a_digest() -> None:
    site = site_of(GOOGLE)
    assert re.fullmatch(r"gmail-smtp-in\.l\.google\.com~[a-z2-7]{20}", site)
    assert site_of(["mx2.a.test", "mx1.a.test"]).startswith("mx1.a.test~")


def test_the_name_is_the_same_in_every_release() -> None:
    # Queues are named after it: a change orphans what stands in them.
    assert site_of(["mx1.a.test", "mx2.a.test"]) == "mx1.a.test~xustqxpl6hbsxnrhuhki"


@given(st.lists(HOST, min_size=1, max_size=6, unique_by=str.lower))
def test_order_case_and_final_dots_make_no_difference(hosts: list[str]) -> None:
    other = [host.upper() + "." for host in reversed(hosts)] + hosts[:1]
    assert site_of(other) == site_of(hosts)
    assert ALLOWED.match(site_of(hosts))


@given(
    st.sets(HOST.map(str.lower), min_size=1, max_size=4),
    st.sets(HOST.map(str.lower), min_size=1, max_size=4),
)
def test_other_hosts_are_another_site(one: set[str], two: set[str]) -> None:
    assert (site_of(one) == site_of(two)) == (one == two)


@pytest.mark.parametrize(
    "host", ["a" * 250, "a b.test", "mx\\032x.test", "ä.test", "a~b.test", "/"]
)
def test_a_host_that_no_key_can_hold_is_shown_in_part(host: str) -> None:
    site = site_of([host])
    assert ALLOWED.match(site)
    assert "~" in site
    assert site != site_of([host + "x"])


def test_an_address_literal_is_no_hosts_site() -> None:
    assert site_of_address("192.0.2.1") == "ipv4~192.0.2.1"
    assert site_of_address("2001:db8::1") == "ipv6~2001-db8--1"
    with pytest.raises(ValueError, match="no address"):
        site_of_address("mx.a.test")


def test_no_hosts_are_no_site() -> None:
    with pytest.raises(ValueError, match="without hosts"):
        site_of([])
