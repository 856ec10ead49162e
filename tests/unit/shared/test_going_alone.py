"""Whose copy goes in a transaction of its own: where return paths are ours, and to lists."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.hops import leased_by
from shared.model.message import Address, Head, Recipient
from shared.outgoing_settings import Switch
from shared.parting import legs_of
from shared.routing import UNDECIDED_HOP, Routes
from shared.settings import Settings

BOUNCES = {"domains": ["b.shop.test"]}


def routes(*entries: dict[str, Any], bounces: dict[str, Any] | None = None) -> Routes:
    named = [{"name": f"r{number}"} | each for number, each in enumerate(entries)]
    relays = [{"name": name, "host": "127.0.0.1"} for name in ("main", "eu")]
    found = {"relay": relays, "route": named, "bounces": BOUNCES if bounces is None else bounces}
    return Routes(msgspec.convert(found, Settings))


def head(*emails: str, **fields: Any) -> Head:
    people = tuple(Recipient("to", each) for each in emails)
    values: dict[str, Any] = {
        "application": "shop", "message_class": "bulk", "message_id": "<1@shop.test>",
        "sender": Address("orders@shop.test"), "return_path": "orders@shop.test",
        "subject": "x", "accepted_ms": 0,
    } | fields  # fmt: skip
    return Head(recipients=people, **values)


THREE = ("1@a.test", "2@b.test", "3@a.test")
ALONE = [(0,), (1,), (2,)]


def parts(found: Routes, mail: Head) -> list[tuple[int, ...]]:
    return [leg.indices() for leg in legs_of(mail, 2, found)]


def test_everybody_goes_alone_where_return_paths_are_ours() -> None:
    assert parts(routes(), head(*THREE)) == ALONE
    assert parts(routes(bounces={}), head(*THREE)) == [(0, 1, 2)]
    assert parts(routes(), head("1@a.test")) == [(0,)]


def test_who_says_where_bounces_go_is_obeyed() -> None:
    assert parts(routes(), head(*THREE, return_path="bounces@shop.test")) == [(0, 1, 2)]


def test_the_copies_of_a_list_differ_whatever_their_return_path_is() -> None:
    own = head(*THREE, list="news", return_path="bounces@shop.test")
    assert parts(routes(bounces={}), own) == ALONE
    found = routes()
    assert not found.has_own_path(own, own.recipients[0], "main")


@pytest.mark.parametrize(("verp", "together"), [("off", True), (False, True), ("on", False)])
def test_a_route_without_verp_is_as_it_was(verp: Switch, together: bool) -> None:
    found = routes(
        {"relay": "eu", "recipient_domains": ["a.test"], "verp": verp},
    )
    assert parts(found, head(*THREE)) == ([(0, 2), (1,)] if together else [(0,), (1,), (2,)])
    mail = head(*THREE)
    for hop in ("eu", "main", leased_by("main", "pool:eu")):  # It was moved there, or is a pool's.
        assert found.has_own_path(mail, mail.recipients[0], hop) is not together
        assert found.has_own_path(mail, mail.recipients[1], hop)


def test_where_the_route_is_not_known_those_go_alone_who_will_on_any() -> None:
    by_site = {"relay": "eu", "sites": ["*.google.com"]}
    assert parts(routes(by_site), head(*THREE)) == ALONE
    for off in ((by_site | {"verp": "off"},), (by_site, {"direct": True, "verp": "off"})):
        found = routes(*off)
        (leg,) = legs_of(head(*THREE), 2, found)
        assert leg.hop == UNDECIDED_HOP


@given(st.lists(st.sampled_from(["a.test", "b.test"]), min_size=1, max_size=150), st.booleans())
def test_every_recipient_of_a_large_message_has_one_leg(domains: list[str], to_list: bool) -> None:
    found = routes({"relay": "eu", "recipient_domains": ["a.test"], "verp": "off"})
    emails = (f"{index}@{domain}" for index, domain in enumerate(domains))
    mail = head(*emails, list="news" if to_list else "")
    legs = legs_of(mail, 2, found)
    assert sorted(index for leg in legs for index in leg.indices()) == list(range(len(domains)))
    assert {leg.legs for leg in legs} == {len(legs)}
    for leg in legs:
        assert len(leg.indices()) == 1 or (leg.hop == "eu" and not to_list)
