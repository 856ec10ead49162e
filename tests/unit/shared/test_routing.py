"""Routes: which of them takes a recipient, and the legs that come of it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.main import cli
from shared.errors import ConfigError
from shared.hops import PoolMembers
from shared.model.leg import LegState
from shared.model.message import Address, Head, Recipient
from shared.model.status import Status
from shared.outgoing import outgoing_from
from shared.parting import legs_of, rerouted
from shared.routing import MAX_RECIPIENTS, UNDECIDED_HOP, Routes
from shared.settings import Settings

README = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
RELAYS = [{"name": name, "host": "127.0.0.1"} for name in ("main", "bulk", "eu")]


def routes(*entries: dict[str, Any]) -> Routes:
    named = [{"name": f"r{index}"} | entry for index, entry in enumerate(entries)]
    return Routes(msgspec.convert({"relay": RELAYS, "route": named}, Settings))


def head(*recipients: str, **fields: Any) -> Head:
    given: dict[str, Any] = {
        "application": "shop",
        "message_class": "bulk",
        "sender": Address("a@shop.test"),
    }
    return Head(
        message_id="<x@y>", return_path="a@shop.test", subject="", accepted_ms=1,
        recipients=tuple(Recipient("to", each) for each in recipients or ("c@example.com",)),
        **(given | fields),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "fields", "taken"),
    [
        ({}, {}, True),
        ({"applications": ["shop"]}, {}, True),
        ({"applications": ["sho"]}, {}, False),
        ({"applications": ["crm", "sh*"]}, {}, True),
        ({"classes": ["bulk"]}, {}, True),
        ({"classes": ["critical", "transactional"]}, {}, False),
        ({"tags": ["news*"]}, {"tags": ("x", "newsletter")}, True),
        ({"tags": ["news*"]}, {"tags": ("old-news",)}, False),
        ({"tags": ["*"]}, {}, False),
        ({"sender_domains": ["shop.test"]}, {}, True),
        ({"sender_domains": ["*.shop.test"]}, {}, False),
        ({"sender_domains": ["*.shop.test"]}, {"sender": Address("a@m.shop.test")}, True),
        ({"sender_domains": ["Bücher.example"]}, {"sender": Address("a@xn--bcher-kva.example")},
         True),
        ({"recipient_domains": ["EXAMPLE.com"]}, {}, True),
        ({"recipient_domains": ["xample.com", "example.co"]}, {}, False),
        ({"applications": ["shop"], "classes": ["critical"]}, {}, False),
    ],
)  # fmt: skip
def test_a_route_takes_what_matches_all_its_lists(
    entry: dict[str, Any], fields: dict[str, Any], taken: bool
) -> None:
    found = routes({"relay": "eu", **entry})
    assert found.hops_of(head(**fields), [0]) == ["eu" if taken else "main"]


def test_the_first_that_matches_decides_for_each_recipient() -> None:
    found = routes(
        {"relay": "eu", "recipient_domains": ["a.test"]},
        {"relay": "bulk", "classes": ["bulk"]},
        {"relay": "main"},
    )
    mail = head("1@a.test", "2@b.test", "3@a.test")
    assert found.hops_of(mail, [0, 1, 2]) == ["eu", "bulk", "eu"]
    assert [found.route_of(mail, each) for each in mail.recipients] == ["r0", "r1", "r0"]
    assert found.hops_of(head("2@b.test", message_class="critical"), [0]) == ["main"]


def test_a_message_is_split_where_its_recipients_part() -> None:
    found = routes({"relay": "eu", "recipient_domains": ["a.test"]})
    legs = legs_of(head("1@a.test", "2@b.test", "3@a.test", send_at_ms=5), 2, found)
    assert [(leg.hop, leg.recipients) for leg in legs] == [("eu", (0, 2)), ("main", (1,))]
    assert {(leg.legs, leg.state) for leg in legs} == {(2, LegState.WAITING)}
    (whole,) = legs_of(head("2@b.test", "4@b.test"), 2, found)
    assert (whole.hop, whole.recipients, whole.legs) == ("main", (), 1)


@given(st.lists(st.sampled_from(["a.test", "b.test", "c.test"]), min_size=1, max_size=350))
def test_every_recipient_is_in_one_leg_of_its_hop(domains: list[str]) -> None:
    found = routes({"relay": "eu", "recipient_domains": ["a.test"]},
                   {"relay": "bulk", "recipient_domains": ["b.test"]})  # fmt: skip
    mail = head(*(f"{index}@{domain}" for index, domain in enumerate(domains)))
    legs = legs_of(mail, 2, found)
    seen = [index for leg in legs for index in leg.indices()]
    assert sorted(seen) == list(range(len(domains)))
    for leg in legs:
        assert len(leg.indices()) <= MAX_RECIPIENTS
        assert set(found.hops_of(mail, leg.indices())) == {leg.hop}


def test_what_is_left_of_a_leg_is_routed_anew() -> None:
    before = routes({"relay": "bulk", "classes": ["bulk"]})
    after = routes({"relay": "eu", "recipient_domains": ["b.test"]})
    mail = head("1@a.test", "2@b.test", "3@a.test")
    (leg,) = legs_of(mail, 2, before)
    assert leg.hop == "bulk"
    found = rerouted(leg, mail, after)
    assert [(each.hop, each.recipients) for each in found] == [("main", (0, 2)), ("eu", (1,))]
    assert [len(each.statuses) for each in found] == [2, 1]
    done = (Status.QUEUED, Status.SUPPRESSED, Status.QUEUED)
    (whole,) = rerouted(msgspec.structs.replace(leg, statuses=done), mail, after)
    assert (whole.hop, whole.recipients, whole.statuses) == ("main", (0, 1, 2), done)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"relay": "nowhere"}, "'nowhere' is no relay; there are main, bulk, eu"),
        ({}, "give it a relay, or the relays of a pool"),
        ({"relay": "eu", "name": "Two Words"}, "lower-case letters"),
        ({"relay": "eu", "classes": ["urgent"]}, "'urgent' is none"),
        ({"relay": "eu", "tags": [""]}, "tags has an empty entry"),
        ({"relay": "eu", "recipient_domains": ["*"]}, "is not a domain"),
        ({"relay": "eu", "recipient_domains": ["a@b.test"]}, "is not a domain"),
        ({"relay": "eu", "sites": ["*.google"]}, "sites: 'google' is not a domain"),
        ({"relay": "eu", "source_address": "host.test"}, "must be an IP address"),
        ({"relay": "eu", "ehlo_name": "a b"}, "ehlo_name must be"),
    ],
)
def test_a_wrong_route_is_told_with_its_remedy(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as error:
        routes(entry)
    assert str(error.value).startswith("route[0]")


def test_two_routes_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two routes named x"):
        routes({"relay": "eu", "name": "x"}, {"relay": "bulk", "name": "x"})


def test_a_source_of_its_own_is_a_hop_of_its_own() -> None:
    found = routes({"relay": "eu", "source_address": "127.0.0.2", "name": "partner"})
    assert found.hops == ("main", "bulk", "eu", "eu@partner")
    assert found.hops_of(head(), [0]) == ["eu@partner"]


def example(name: str) -> str:
    """The settings in README that have a route of this name."""
    found: list[str] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (text,) = [each for each in found if f'name = "{name}"' in each]
    return text


def readme_settings() -> dict[str, Any]:
    """The example in README."""
    text = example("partner")
    found: dict[str, Any] = tomllib.loads(text)
    return found


def test_the_example_in_the_readme_does_what_it_says() -> None:
    settings = msgspec.convert(readme_settings(), Settings)
    found = outgoing_from(settings)
    hops = found.routes.hops_of
    assert hops(head(application="crm-eu"), [0]) == ["bulk"]
    assert hops(head(application="billing"), [0]) == ["main"]
    mail = head("a@partner.example", "b@x.partner.example", "c@example.com", application="billing")
    assert hops(mail, [0, 1, 2]) == ["main@partner", "main@partner", "main"]
    (source,) = found.sources
    assert (source.name, source.host) == ("main@partner", "smtp.example.com")
    assert (source.source_address, source.ehlo_name) == ("192.0.2.25", "partner-mail.example.com")


def test_the_pool_in_the_readme_does_what_it_says() -> None:
    text = example("safe")
    found = Routes(msgspec.convert(tomllib.loads(text), Settings))
    assert found.hops_of(head(), [0]) == ["pool:safe"]
    ordered = PoolMembers("ordered", (("first", 1), ("second", 1)))
    assert found.pools == {"pool:safe": ordered}
    shares = tomllib.loads(text.replace("# weights", "weights"))
    weighted = PoolMembers("weighted", (("first", 3), ("second", 1)))
    assert Routes(msgspec.convert(shares, Settings)).pools == {"pool:safe": weighted}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"relays": ["eu", "nowhere"]}, "'nowhere' is no relay"),
        ({"relay": "eu", "relays": ["bulk"]}, "not both"),
        ({"relays": ["eu", "eu"]}, "one of them twice"),
        ({"relays": ["eu", "bulk"], "weights": [1]}, "one number for each"),
        ({"relays": ["eu", "bulk"], "weights": [0, 1]}, "from 1 to 1000"),
        ({"relay": "eu", "weights": [1]}, "one number for each"),
    ],
)
def test_a_wrong_pool_is_told_with_its_remedy(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        routes(entry)


def test_a_pool_with_a_source_of_its_own() -> None:
    found = routes({"relays": ["eu", "bulk"], "ehlo_name": "x.test", "name": "p"})
    assert found.hops == ("main", "bulk", "eu", "pool:p", "eu@p", "bulk@p")
    assert dict(found.pools["pool:p"].members) == {"eu@p": 1, "bulk@p": 1}


def test_a_direct_route_has_one_hop_until_dns_was_asked() -> None:
    found = routes({"direct": True, "name": "mx"}, {"relay": "eu", "name": "rest"})
    assert found.hops_of(head(), [0]) == ["mx:?"]
    assert found.hops[-2:] == ("eu", "mx:?")
    assert found.direct == {""}
    found = routes({"direct": True, "name": "safe", "tls": "required"})
    assert found.hops_of(head(), [0]) == ["mx:?@safe"]
    assert found.direct == {"safe"}


@pytest.mark.parametrize(
    ("sites", "hosts", "taken"),
    [
        (["*.google.com"], ["aspmx.l.google.com", "alt1.google.com"], True),
        (["*.google.com"], ["aspmx.l.google.com", "mx.evil.test"], False),
        (["*.google.com"], ["google.com"], False),
        (["*.google.com"], ["mx.notgoogle.com"], False),
        (["*.google.com", "MX.example.net."], ["mx.example.net", "a.google.com"], True),
        (["example.net"], ["mx.example.net"], False),
        (["*.google.com"], [], False),
    ],
)
def test_a_site_matches_with_all_its_hosts(sites: list[str], hosts: list[str], taken: bool) -> None:
    found = routes({"relay": "eu", "sites": sites}, {"relay": "bulk", "tags": ["x"]})
    assert found.hops_of(head(), [0], {"example.com": hosts}) == ["eu" if taken else "main"]
    assert found.hops_of(head(), [0], {"other.test": hosts}) == [UNDECIDED_HOP]


def test_only_a_site_that_could_decide_has_to_be_known() -> None:
    found = routes(
        {"relay": "bulk", "recipient_domains": ["b.test"]},
        {"relay": "eu", "sites": ["*.eu.test"], "applications": ["shop"]},
        {"relay": "main"},
    )
    mail = head("1@a.test", "2@b.test", "3@A.test")
    assert found.hops_of(mail, [0, 1, 2]) == [UNDECIDED_HOP, "bulk", UNDECIDED_HOP]
    assert found.hops_of(mail, [0, 2], {"a.test": ("mx.eu.test",)}) == ["eu", "eu"]
    assert found.hops_of(head("1@a.test", application="crm"), [0]) == ["main"]
    assert (found.hops[-1], found.by_site, found.direct) == (UNDECIDED_HOP, True, frozenset())
    (leg,) = legs_of(head("1@a.test", "3@a.test"), 2, found)
    assert leg.hop == "mx:?@?"


def test_a_site_leads_to_every_kind_of_hop() -> None:
    known = {"example.com": ("mx.eu.test",)}
    for entry, hop in (
        ({"relays": ["eu", "bulk"], "name": "p"}, "pool:p"),
        ({"relay": "eu", "ehlo_name": "a.test", "name": "p"}, "eu@p"),
        ({"direct": True}, "mx:?"),
        ({"direct": True, "tls": "required", "name": "p"}, "mx:?@p"),
    ):
        assert routes({"sites": ["mx.eu.test"], **entry}).hops_of(head(), [0], known) == [hop]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"direct": True, "relay": "eu"}, "or direct = true, not both"),
        ({"direct": True, "weights": [1]}, "weights are for relays"),
        ({"direct": True, "name": "n" * 33, "ehlo_name": "a.test"}, "32 characters at most"),
        ({"relay": "eu", "tls": "required"}, "tls is for direct = true"),
    ],
)
def test_a_wrong_direct_route_is_told_with_its_remedy(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        routes(entry)


def test_direct_delivery_in_the_readme_does_what_it_says() -> None:
    found = outgoing_from(msgspec.convert(tomllib.loads(example("careful")), Settings))
    hops = found.routes.hops_of
    mail = head("a@bank.example", "a@b.example", message_class="transactional")
    assert hops(mail, [0, 1]) == ["mx:?@careful", "mx:?"]
    assert hops(head("a@b.example", message_class="bulk"), [0]) == ["relay"]
    assert {name: each.tls for name, each in found.direct.items()} == {
        "": "opportunistic",
        "careful": "required",
    }
    assert {each.ehlo_name for each in found.direct.values()} == {"mail.example.com"}


@pytest.mark.parametrize(
    ("direct", "told"),
    [
        ({"tls": "none"}, "direct.tls must be one of opportunistic, required"),
        ({"port": 0}, "direct: port and mta_sts_port"),
        ({"sessions": 0}, "direct: sessions is a number"),
        ({"connections": 0}, "direct: connections is a number"),
        ({"ehlo_name": "a b"}, "direct: ehlo_name must be"),
        ({"dkim": "off"}, "which [direct] turns off"),
    ],
)
def test_wrong_settings_of_direct_delivery_are_told(direct: dict[str, Any], told: str) -> None:
    values = {
        "relay": RELAYS,
        "route": [{"name": "mx", "direct": True}],
        "direct": direct,
        "require_dkim": True,
    }
    with pytest.raises(ConfigError, match=re.escape(told)):
        outgoing_from(msgspec.convert(values, Settings))


def test_a_source_of_the_other_ip_version_is_refused() -> None:
    entries = {"relay": RELAYS, "route": [{"name": "six", "relay": "eu", "source_address": "::1"}]}
    with pytest.raises(ConfigError, match="route six: source_address is IPv6"):
        outgoing_from(msgspec.convert(entries, Settings))


def test_route_show_tells_the_way_of_each_recipient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "posthaste.toml"
    text = example("partner")
    path.write_text(text + '[store]\nredis_url = "redis://127.0.0.1:1/0"\n')
    monkeypatch.setenv("POSTHASTE_CONFIG", str(path))
    call = ["route", "show", "--from", "a@shop.test", "--to", "c@partner.example", "--to",
            "d@example.com", "--app", "shop", "--class", "critical"]  # fmt: skip
    told = CliRunner().invoke(cli, call)
    assert told.output.splitlines() == [
        "c@partner.example: main@partner (route partner)",
        "d@example.com: main (no route of its own)",
    ]
    wrong = CliRunner().invoke(cli, [*call, "--to", "nobody"])
    assert isinstance(wrong.exception, ConfigError)


def test_route_show_tells_what_goes_straight_to_mx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "posthaste.toml").write_text(example("careful"))
    monkeypatch.setenv("POSTHASTE_CONFIG", str(tmp_path / "posthaste.toml"))
    call = ["route", "show", "--from", "a@shop.test", "--to", "c@bank.example"]
    shown = CliRunner().invoke(cli, call).output
    way = "route careful, straight to the MX hosts of its domain"
    assert shown == f"c@bank.example: mx:?@careful ({way})\n"


def test_the_sites_in_the_readme_do_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outgoing_from(msgspec.convert(tomllib.loads(example("google")), Settings))
    mail = head("a@shop.example", "b@gmail.com")
    assert found.routes.hops_of(mail, [0, 1]) == ["mx:?@?"] * 2
    hosts = {"shop.example": ["aspmx.l.google.com"], "gmail.com": ["mx.shop.example"]}
    assert found.routes.hops_of(mail, [0, 1], hosts) == ["warm", "mx:?"]
    (tmp_path / "posthaste.toml").write_text(example("google"))
    monkeypatch.setenv("POSTHASTE_CONFIG", str(tmp_path / "posthaste.toml"))
    call = ["route", "show", "--from", "a@shop.test", "--to", "c@shop.example"]
    needed = "the MX hosts of its domain decide: give them with --mx"
    assert CliRunner().invoke(cli, call).output == f"c@shop.example: mx:?@? ({needed})\n"
    for host, told in (
        ("ASPMX.l.google.com.", "warm (route google)"),
        ("mx.other.test", "mx:? (route rest, straight to the MX hosts of its domain)"),
    ):
        shown = CliRunner().invoke(cli, [*call, "--mx", host]).output
        assert shown == f"c@shop.example: {told}\n"
