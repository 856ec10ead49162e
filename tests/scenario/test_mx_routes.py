"""Where a domain's mail goes, by a real DNS server (RFC 5321 section 5.1, RFC 7505; B14)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import pytest

from shared.clock import ManualClock
from shared.outgoing_settings import DnsSettings
from tests.support.dns_server import DnsServer
from workers.dns.addresses import AddressRules
from workers.dns.mx import MxRouter, OwnHost
from workers.dns.resolver import Resolver
from workers.dns.routes import Bounce, Deferral, MxHost, Route, Routed, Target
from workers.dns.servers import Servers
from workers.dns.site import site_of

Records = Mapping[tuple[str, str], Sequence[str]]
OWN = OwnHost(frozenset({"out.posthaste.test"}), frozenset({"1.1.1.99"}))
MX = {("mx.test", "A"): ["1.1.1.1"], ("mx2.test", "A"): ["1.1.1.2"]}


def routed(
    domain: str,
    records: Records | DnsServer,
    *,
    allow: Sequence[str] = (),
    failing: Mapping[str, str] | None = None,
) -> Routed:
    if not isinstance(records, DnsServer):
        with DnsServer(records) as server:
            server.failing.update(failing or {})
            return routed(domain, server, allow=allow)

    async def work() -> Routed:
        settings = DnsSettings(servers=("127.0.0.1",), port=records.port)
        resolver = Resolver(Servers(settings), ManualClock())
        router = MxRouter(resolver, AddressRules(allow), OWN, random.Random(7))
        return await router.route(domain)

    return asyncio.run(work())


def status(result: Routed) -> tuple[type[Routed], int, str] | None:
    """Kind, reply code and enhanced status; None for a route."""
    return None if isinstance(result, Route) else (type(result), result.code, result.enhanced)


def test_hosts_come_by_preference_with_both_kinds_of_addresses() -> None:
    records = {
        ("shop.test", "MX"): ["20 mx2.test.", "10 MX.test."],
        ("mx.test", "AAAA"): ["2606:4700::1"],
        **MX,
    }
    result = routed("Shop.TEST", records)
    assert result == Route(
        site_of(["mx.test", "mx2.test"]),
        (
            MxHost(10, "mx.test", ("2606:4700::1", "1.1.1.1")),
            MxHost(20, "mx2.test", ("1.1.1.2",)),
        ),
    )
    assert result.targets() == (
        Target("mx.test", "2606:4700::1"),
        Target("mx.test", "1.1.1.1"),
        Target("mx2.test", "1.1.1.2"),
    )


def test_an_international_domain_is_asked_for_by_its_a_label() -> None:
    records = {("xn--mnchen-3ya.test", "MX"): ["10 mx.test."], **MX}
    assert isinstance(routed("MÜNCHEN.test", records), Route)


@pytest.mark.parametrize("domain", ["a b.test", "a..test", "192.0.2.1", ""])
def test_what_is_no_domain_bounces_unasked(domain: str) -> None:
    with DnsServer({}) as server:
        assert status(routed(domain, server)) == (Bounce, 553, "5.1.2")
        assert server.asked == []


def test_a_domain_that_does_not_exist_bounces_after_one_question() -> None:
    with DnsServer({}) as server:
        assert status(routed("nowhere.test", server)) == (Bounce, 550, "5.1.2")
        assert server.asked == ["nowhere.test MX"]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_a_failing_mx_look_up_defers_and_never_falls_back_to_addresses(rcode: str) -> None:
    with DnsServer({("shop.test", "A"): ["1.1.1.1"]}) as server:
        server.failing["shop.test MX"] = rcode
        assert status(routed("shop.test", server)) == (Deferral, 451, "4.4.3")
        assert set(server.asked) == {"shop.test MX"}


# -- no MX --------------------------------------------------------------------------------------


def test_without_mx_the_domain_is_its_own_host() -> None:
    records = {("shop.test", "A"): ["1.1.1.1"], ("shop.test", "AAAA"): ["2606:4700::1"]}
    expected = Route("shop.test", (MxHost(0, "shop.test", ("2606:4700::1", "1.1.1.1")),))
    assert routed("shop.test", records) == expected


def test_with_mx_the_domains_own_addresses_are_never_used() -> None:
    records = {("shop.test", "MX"): ["10 gone.test."], ("shop.test", "A"): ["1.1.1.1"]}
    assert status(routed("shop.test", records)) == (Bounce, 550, "5.4.4")


def test_neither_mx_nor_address_bounces() -> None:
    assert status(routed("shop.test", {("shop.test", "TXT"): ["x"]})) == (Bounce, 550, "5.4.4")


@pytest.mark.parametrize("family", ["A", "AAAA"])
def test_no_mx_and_an_address_that_cannot_be_learnt_defers(family: str) -> None:
    result = routed(
        "shop.test", {("shop.test", "TXT"): ["x"]}, failing={f"shop.test {family}": "SERVFAIL"}
    )
    assert status(result) == (Deferral, 451, "4.4.3")


def test_one_kind_of_address_is_enough_while_the_other_fails() -> None:
    records = {("shop.test", "A"): ["1.1.1.1"]}
    result = routed("shop.test", records, failing={"shop.test AAAA": "SERVFAIL"})
    assert result == Route("shop.test", (MxHost(0, "shop.test", ("1.1.1.1",)),))


# -- null MX ------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ["0 .", "10 ."])
def test_a_null_mx_bounces_though_there_is_an_address(record: str) -> None:
    with DnsServer({("shop.test", "MX"): [record], ("shop.test", "A"): ["1.1.1.1"]}) as server:
        assert status(routed("shop.test", server)) == (Bounce, 556, "5.1.10")
        assert server.asked == ["shop.test MX"]


def test_a_null_mx_beside_a_host_is_no_null_mx() -> None:
    result = routed("shop.test", {("shop.test", "MX"): ["0 .", "10 mx.test."], **MX})
    assert result == Route("mx.test", (MxHost(10, "mx.test", ("1.1.1.1",)),))


# -- aliases ------------------------------------------------------------------------------------


def test_a_domain_that_is_an_alias_has_the_other_ones_mx() -> None:
    records = {("alias.test", "CNAME"): ["shop.test."], ("shop.test", "MX"): ["10 mx.test."], **MX}
    result = routed("alias.test", records)
    assert isinstance(result, Route)
    assert result.site == "mx.test"


def test_an_alias_of_a_host_without_mx_is_that_host() -> None:
    records = {("alias.test", "CNAME"): ["mx.test."], **MX}
    assert routed("alias.test", records) == Route("mx.test", (MxHost(0, "mx.test", ("1.1.1.1",)),))


def test_an_alias_of_nothing_does_not_exist() -> None:
    result = routed("alias.test", {("alias.test", "CNAME"): ["nowhere.test."]})
    assert status(result) == (Bounce, 550, "5.1.2")


def test_aliases_in_a_circle_defer() -> None:
    records = {("one.test", "CNAME"): ["two.test."], ("two.test", "CNAME"): ["one.test."]}
    assert status(routed("one.test", records)) == (Deferral, 451, "4.4.3")


def test_an_mx_host_that_is_an_alias_keeps_the_name_it_was_listed_by() -> None:
    records = {("shop.test", "MX"): ["10 alias.test."], ("alias.test", "CNAME"): ["mx.test."], **MX}
    assert routed("shop.test", records) == Route(
        "alias.test", (MxHost(10, "alias.test", ("1.1.1.1",)),)
    )


# -- hosts without addresses --------------------------------------------------------------------


def test_a_host_without_address_is_passed_over_and_stays_in_the_site() -> None:
    result = routed("shop.test", {("shop.test", "MX"): ["5 gone.test.", "10 mx.test."], **MX})
    assert result == Route(
        site_of(["gone.test", "mx.test"]), (MxHost(10, "mx.test", ("1.1.1.1",)),)
    )


def test_hosts_that_cannot_be_learnt_now_defer_if_no_other_has_an_address() -> None:
    records = {("shop.test", "MX"): ["5 mx.test.", "10 gone.test."], **MX}
    result = routed("shop.test", records, failing={"mx.test": "SERVFAIL"})
    assert status(result) == (Deferral, 451, "4.4.4")
    records["shop.test", "MX"].append("20 mx2.test.")
    result = routed("shop.test", records, failing={"mx.test": "SERVFAIL"})
    assert isinstance(result, Route)
    assert [each.name for each in result.hosts] == ["mx2.test"]


@pytest.mark.parametrize("host", ["gone.test.", "192.0.2.1.", "mx\\032x.test."])
def test_mx_records_that_lead_nowhere_bounce(host: str) -> None:
    result = routed("shop.test", {("shop.test", "MX"): [f"10 {host}"]})
    assert status(result) == (Bounce, 550, "5.4.4")


# -- back to ourselves --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "us", [{("out.posthaste.test", "A"): ["1.1.1.3"]}, {("us.test", "A"): ["1.1.1.99"]}]
)
def test_this_host_among_the_mx_hosts_leaves_those_that_are_preferred_to_it(us: Records) -> None:
    ((own, _),) = us
    better = {("shop.test", "MX"): ["5 mx.test.", f"10 {own}.", "20 mx2.test."], **MX, **us}
    result = routed("shop.test", better)
    assert isinstance(result, Route)
    assert [each.name for each in result.hosts] == ["mx.test"]
    best = {("shop.test", "MX"): ["5 mx.test.", f"5 {own}.", "20 mx2.test."], **MX, **us}
    assert status(routed("shop.test", best)) == (Bounce, 554, "5.4.6")


def test_hosts_behind_this_one_are_not_even_looked_up() -> None:
    records = {("shop.test", "MX"): ["5 mx.test.", "10 out.posthaste.test.", "20 mx2.test."]}
    with DnsServer({**records, **MX}) as server:
        assert isinstance(routed("shop.test", server), Route)
        assert sorted(server.asked) == ["mx.test A", "mx.test AAAA", "shop.test MX"]


@pytest.mark.parametrize("domain", ["out.posthaste.test", "us.test", "[1.1.1.99]"])
def test_mail_for_this_host_itself_bounces(domain: str) -> None:
    records = {("out.posthaste.test", "A"): ["1.1.1.3"], ("us.test", "A"): ["1.1.1.99"]}
    assert status(routed(domain, records)) == (Bounce, 554, "5.4.6")


# -- B14: addresses that are not public ---------------------------------------------------------

INSIDE = [
    ("A", "127.0.0.1"), ("A", "10.0.0.5"), ("A", "169.254.169.254"), ("A", "0.0.0.0"),
    ("AAAA", "::1"), ("AAAA", "fd00:ec2::254"), ("AAAA", "::ffff:10.0.0.5"),
    ("AAAA", "64:ff9b::7f00:1"), ("AAAA", "2002:a00:5::1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "address"), INSIDE)
def test_b14_an_mx_host_inside_our_network_is_refused(kind: str, address: str) -> None:
    records = {("shop.test", "MX"): ["10 in.test."], ("in.test", kind): [address]}
    assert status(routed("shop.test", records)) == (Bounce, 550, "5.4.4")
    assert status(routed("in.test", records)) == (Bounce, 550, "5.4.4")


def test_b14_addresses_inside_are_left_out_and_public_ones_stay() -> None:
    records = {
        ("shop.test", "MX"): ["5 in.test.", "10 both.test."],
        ("in.test", "A"): ["10.0.0.5"],
        ("both.test", "A"): ["192.168.0.1", "1.1.1.1"],
        ("both.test", "AAAA"): ["::1"],
    }
    result = routed("shop.test", records)
    assert isinstance(result, Route)
    assert result.targets() == (Target("both.test", "1.1.1.1"),)


def test_b14_one_hidden_behind_an_alias_is_refused() -> None:
    records = {
        ("shop.test", "MX"): ["5 alias.test."],
        ("alias.test", "CNAME"): ["in.test."],
        ("in.test", "A"): ["10.0.0.5"],
    }
    assert status(routed("shop.test", records)) == (Bounce, 550, "5.4.4")


def test_b14_what_may_change_is_not_bounced_for_a_host_inside() -> None:
    records = {("shop.test", "MX"): ["5 in.test.", "10 mx.test."], ("in.test", "A"): ["10.0.0.5"]}
    result = routed("shop.test", {**records, **MX}, failing={"mx.test": "SERVFAIL"})
    assert status(result) == (Deferral, 451, "4.4.4")


def test_networks_that_are_allowed_may_be_mailed_to() -> None:
    records = {("shop.test", "MX"): ["10 in.test."], ("in.test", "A"): ["127.0.0.1", "10.0.0.1"]}
    result = routed("shop.test", records, allow=["127.0.0.0/8"])
    assert result == Route("in.test", (MxHost(10, "in.test", ("127.0.0.1",)),))


# -- address literals ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "site", "address"),
    [
        ("[1.1.1.1]", "ipv4~1.1.1.1", "1.1.1.1"),
        ("[IPv6:2606:4700::1111]", "ipv6~2606-4700--1111", "2606:4700::1111"),
    ],
)
def test_an_address_literal_is_a_route_without_dns(domain: str, site: str, address: str) -> None:
    with DnsServer({}) as server:
        assert routed(domain, server) == Route(site, (MxHost(0, domain, (address,)),))
        assert server.asked == []


@pytest.mark.parametrize("domain", ["[1.1.1.256]", "[2606:4700::1]", "[]", "[mx.test]", "[1.1.1.1"])
def test_a_literal_that_is_none_bounces(domain: str) -> None:
    assert status(routed(domain, {})) == (Bounce, 553, "5.1.3")


@pytest.mark.parametrize("domain", ["[127.0.0.1]", "[IPv6:::1]", "[IPv6:::ffff:10.0.0.1]"])
def test_b14_a_literal_inside_our_network_bounces(domain: str) -> None:
    assert status(routed(domain, {})) == (Bounce, 550, "5.4.4")
