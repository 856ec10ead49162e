"""B12, B14: no address that DNS names leads into our own network, however it is written."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from workers.dns.addresses import AddressRules, literal_address

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
]  # fmt: skip
INSIDE_V6 = [
    "::", "::1", "::127.0.0.1", "100::1", "2001::1", "2001:db8::1", "3fff::1", "5f00::1",
    "64:ff9b:1::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fec0::1", "ff02::1",
    "4000::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.1", "192.0.1.1", "198.17.255.255",
    "198.20.0.1", "223.255.255.255",
]  # fmt: skip
PUBLIC_V6 = ["2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1b", "2001:200::1"]


def embeddings(address: str) -> list[str]:
    """The IPv6 addresses whose packets end at an IPv4 address."""
    first, second, third, fourth = map(int, address.split("."))
    halves = f"{first << 8 | second:x}:{third << 8 | fourth:x}"
    return [f"::ffff:{address}", f"::ffff:{halves}", f"64:ff9b::{halves}", f"2002:{halves}::1"]


@pytest.mark.parametrize("address", INSIDE + INSIDE_V6)
def test_b14_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not AddressRules().permit(address)


@pytest.mark.parametrize("address", [each for inside in INSIDE for each in embeddings(inside)])
def test_b12_an_address_inside_another_is_refused(address: str) -> None:
    assert not AddressRules().permit(address)


@pytest.mark.parametrize(
    "address", PUBLIC + PUBLIC_V6 + [each for public in PUBLIC for each in embeddings(public)]
)
def test_a_public_address_is_permitted(address: str) -> None:
    assert AddressRules().permit(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.1.1.1 ", "1.1.1.1:25",
     "[1.1.1.1]", "2606:4700::1111%eth0", "fe80::1%1", "1.1.1.1\n"],
)  # fmt: skip
def test_b12_what_is_no_plain_address_is_refused(text: str) -> None:
    assert not AddressRules(["0.0.0.0/0", "::/0"]).permit(text)


def test_networks_that_are_allowed_pass_and_no_others() -> None:
    rules = AddressRules(["127.0.0.0/8", "fd12::/16", "10.1.2.3"])
    addresses = ["127.0.0.1", "fd12::1", "10.1.2.3", "10.1.2.4", "::1", "1.1.1.1", "fd13::1"]
    assert rules.permitted(addresses) == ["127.0.0.1", "fd12::1", "10.1.2.3", "1.1.1.1"]


def test_a_network_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1/8"):
        AddressRules(["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:DB8:0::1]", "2001:db8::1"),
        ("[ipv6:::1]", "::1"),
        ("[IPv6:64:ff9b::192.0.2.1]", "64:ff9b::c000:201"),
        ("[2001:db8::1]", None),
        ("[IPv6:192.0.2.1]", None),
        ("[192.0.2.256]", None),
        ("[192.0.2.1", None),
        ("192.0.2.1", None),
        ("[192.0.2.1]x", None),
        ("[192.0.2.1]\n", None),
        ("[IPv6:fe80::1%eth0]", None),
        ("[tag:content]", None),
        ("[]", None),
    ],
)
def test_address_literals(domain: str, address: str | None) -> None:
    assert literal_address(domain) == address
