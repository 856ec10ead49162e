"""What is known of each hop: its limits and when the store is told, and what servers have shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.clock import ManualClock
from shared.hops import DestinationLimit
from shared.model.message import Address, Head, Recipient
from shared.relays import Relay
from shared.settings import Settings
from shared.shaping.shaping import Shaping
from workers import shapes as module
from workers.shapes import LEARNT_SECONDS, Shapes, shaped

BIG = ("mx.big.test",)
SMALL = ("mx.small.test",)


def shaping(**tables: Any) -> Shaping:
    """`[default]` of 2 connections, `[site.big]` as given, a relay and a route."""
    default = {"connections": 2, "recipients_per_transaction": 50}
    values = {
        "relay": [{"name": "gw", "host": "127.0.0.1"}],
        "shaping": {"default": default, **tables},
    }
    return Shaping(msgspec.convert(values, Settings))


def big(**figures: Any) -> Shaping:
    return shaping(site={"big": {"mx": ["*.big.test"], **figures}})


def knowing(found: Shaping, clock: ManualClock | None = None) -> Shapes:
    shapes = Shapes(clock or ManualClock())
    shapes.apply(found)
    shapes.see("big", BIG)
    shapes.see("small", SMALL)
    return shapes


def test_limits_of_sites_go_with_their_legs() -> None:
    shapes = knowing(big(per_minute=60))
    own = DestinationLimit(per_minute=60, connections=2, concurrency=4)
    hops = ("mx:big", "mx:big@r+sts~x", "mx:small", "mx:?", "mx:unseen", "gw")
    assert shapes.limits(hops) == {"mx:big": own, "mx:small": None}
    assert shapes.untold("mx:big@r+sts~x") == shapes.untold("mx:small") == {}


def test_a_site_that_this_process_has_told_nothing_of_is_told_with_its_first_leg() -> None:
    shapes = knowing(big(per_minute=60))
    (told,) = shapes.untold("mx:big").items()
    assert told[0] == "mx:big"
    assert shapes.untold("mx:small") == {"mx:small": None}  # The store may have an old one.
    shapes.told(dict([told]))
    assert shapes.untold("mx:big") == {}
    shapes.not_told(["mx:big"])
    assert shapes.untold("mx:big") == dict([told])


def test_a_reload_tells_what_it_changes_and_nothing_else() -> None:
    shapes = knowing(big(per_minute=60))
    shapes.limits(("mx:big", "mx:small"))
    assert shapes.changed() == {}
    shapes.apply(big(per_minute=6))
    (changed,) = shapes.changed().values()
    assert changed is not None
    assert changed.per_minute == 6
    assert shapes.untold("mx:big") == shapes.changed()
    shapes.told(shapes.changed())
    assert shapes.changed() == {}
    shapes.apply(shaping())
    assert shapes.changed() == {"mx:big": None}


def test_a_site_that_has_no_limit_does_not_have_that_of_every_site() -> None:
    shapes = knowing(big(connections=0))
    assert shapes.limits(("mx:big", "mx:small")) == {"mx:big": DestinationLimit(), "mx:small": None}


def test_recipients_of_a_transaction_are_as_configured_or_learnt_for_an_hour() -> None:
    clock = ManualClock()
    found = shaping(
        site={"big": {"mx": ["*.big.test"], "recipients_per_transaction": 7}},
        relay={"gw": {"recipients_per_transaction": 5}},
    )
    shapes = knowing(found, clock)
    hops = ("mx:big@r", "mx:small", "mx:?", "gw@eu", "gw<pool:news", "other")
    assert [shapes.most_recipients(hop) for hop in hops] == [7, 50, 50, 5, 5, 100]
    shapes.learn("gw<pool:news", 3)
    shapes.learn("mx:big@r", 9)
    assert [shapes.most_recipients(hop) for hop in hops] == [7, 50, 50, 3, 3, 100]
    clock.advance(LEARNT_SECONDS)
    assert shapes.most_recipients("gw") == 5


def test_recipients_are_kept_apart_by_domain_where_a_server_wants_that() -> None:
    clock = ManualClock()
    shapes = knowing(shaping(), clock)
    people = tuple(Recipient("to", each) for each in ("a@x.test", "b@Y.test", "c@x.test"))
    head = Head("shop", "transactional", "", Address("a@s.test"), "", people, "", 0)
    hops = {0: "mx:big", 1: "mx:big", 2: "mx:small"}
    assert shapes.apart(hops, head) == {}
    shapes.learn_one_domain("mx:big@r")
    assert shapes.apart(hops, head) == {0: "x.test", 1: "y.test"}
    clock.advance(LEARNT_SECONDS)
    assert shapes.apart(hops, head) == {}


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_SITES", 3)
    shapes = knowing(big(per_minute=6))
    for number in range(5):
        shapes.see(f"s{number}", (f"mx.s{number}.test",))
        shapes.learn(f"mx:s{number}", 2)
    assert [shapes.most_recipients(f"mx:s{number}") for number in range(5)] == [50, 50, 2, 2, 2]
    assert shapes.limits(["mx:big", "mx:s4"]) == {"mx:s4": None}  # Found out again by then.
    assert shapes.untold("mx:big") == {}


def test_sessions_are_as_the_stricter_of_both_says() -> None:
    found = big(connections=5, messages_per_connection=500).of_site(BIG)
    relay = shaped(Relay(connections=3, messages_per_connection=100), found, name="mx:big")
    assert (relay.name, relay.connections, relay.messages_per_connection) == ("mx:big", 3, 100)
    relay = shaped(Relay(connections=9, messages_per_connection=1000), found)
    assert (relay.connections, relay.messages_per_connection) == (5, 500)
