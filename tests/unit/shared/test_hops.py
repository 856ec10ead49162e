"""Names of hops of direct delivery: there and back, within the record, with the site's limits."""

from __future__ import annotations

import pytest

from shared.hops import LONGEST_DIRECT_NAME, MxHop, mx_hop, shared_part
from workers.dns.site import MOST_CHARACTERS

POLICY = "sts~abcdefghijkl"


@pytest.mark.parametrize(
    ("hop", "name"),
    [
        (MxHop(), "mx:?"),
        (MxHop(route="partner"), "mx:?@partner"),
        (MxHop("mx.shop.test"), "mx:mx.shop.test"),
        (MxHop("mx.shop.test", "partner"), "mx:mx.shop.test@partner"),
        (MxHop("mx.shop.test", "", POLICY), f"mx:mx.shop.test@+{POLICY}"),
        (MxHop("mx.shop.test~abc", "partner", POLICY), f"mx:mx.shop.test~abc@partner+{POLICY}"),
    ],
)
def test_a_name_tells_the_parts(hop: MxHop, name: str) -> None:
    assert hop.hop == name
    assert mx_hop(name) == hop
    assert shared_part(name) == f"mx:{hop.site}"


def test_other_hops_are_none() -> None:
    assert [mx_hop(each) for each in ("relay", "mx", "pool:mx", "gw1@mx")] == [None] * 4


def test_the_longest_name_has_room_in_the_record() -> None:
    longest = MxHop("s" * MOST_CHARACTERS, "n" * LONGEST_DIRECT_NAME, POLICY)
    assert len(longest.hop) <= 255
