"""The small internet of a chaos run: the receiver's doors, and which door takes whose mail. Pure.

A door is an address and a port. Those of relays have a port each; those of MX hosts have an address
each, because all hosts of the world have the same port.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tests.chaos.fates import BOUNCES_DOMAIN, LINKS

LOOPBACK = "127.0.0.1"
PLAIN = ("east", "west")
"""Relays: the first one takes what no route takes, and they change places."""
ORDERED = ("first", "second")
WEIGHTED = ("left", "right")
RELAYS = PLAIN + ORDERED + WEIGHTED
HOSTS = {"mx1": "127.0.1.1", "mx2": "127.0.1.2", "mx3": "127.0.1.3", "mx4": "127.0.1.4"}
NOBODY = "127.0.1.9"
"""Has no listener, ever."""
SHARES = {
    "example.test": 40,
    "pool.test": 14,
    "shares.test": 12,
    "a.test": 8,
    "b.test": 6,
    "c.test": 8,
    "d.test": 6,
    "e.test": 6,
}
"""Recipients' domains, by weight: the first relay's, the two pools', the rest by DNS."""
RECORDS: dict[tuple[str, str], list[str]] = {
    # Two domains of one site; one with two hosts alike; one whose first host is never there; and
    # one without MX records.
    ("a.test", "MX"): ["10 mx1.hosts.test."],
    ("b.test", "MX"): ["10 mx1.hosts.test."],
    ("c.test", "MX"): ["10 mx2.hosts.test.", "10 mx3.hosts.test."],
    ("d.test", "MX"): ["10 nobody.hosts.test.", "20 mx3.hosts.test."],
    ("e.test", "A"): [HOSTS["mx4"]],
    ("nobody.hosts.test", "A"): [NOBODY],
    **{(f"{name}.hosts.test", "A"): [address] for name, address in HOSTS.items()},
}
TTL_SECONDS = 1
"""Of all of them, so that DNS is asked again and again."""


class Door(msgspec.Struct, frozen=True):
    """Where the receiver listens."""

    host: str
    port: int


SETTINGS = """
[worker]
max_crashes = 20

[bounces]
domains = ["{bounces}"]

[unsubscribe]
url = "{links}"

[retry]
schedule_seconds = [0.5, 1, 2]

[dns]
servers = ["127.0.0.1"]
port = {dns}
timeout_seconds = 2
allow_networks = ["127.0.0.0/8"]

[direct]
port = {direct}

[[route]]
name = "ordered"
relays = ["first", "second"]
recipient_domains = ["pool.test"]

[[route]]
name = "weighted"
relays = ["left", "right"]
weights = [2, 1]
recipient_domains = ["shares.test"]

[[route]]
name = "straight"
direct = true
recipient_domains = ["a.test", "b.test", "c.test", "d.test", "e.test"]
"""
"""A worker is killed every few seconds: three kills in a row may meet the same message, while the
receiver keeps it waiting, and it would be taken for poison."""
RELAY = """
[[relay]]
name = "{name}"
host = "127.0.0.1"
port = {port}
connections = 20
messages_per_connection = 200
"""


def settings(doors: Mapping[str, Door], dns_port: int, swapped: bool) -> str:
    """posthaste.toml, its first two relays in one order or the other."""
    plain = reversed(PLAIN) if swapped else PLAIN
    relays = [RELAY.format(name=name, port=doors[name].port) for name in (*plain, *RELAYS[2:])]
    text = SETTINGS.format(
        dns=dns_port, direct=doors["mx1"].port, bounces=BOUNCES_DOMAIN, links=LINKS
    )
    return text + "".join(relays)
