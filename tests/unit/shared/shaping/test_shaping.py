"""What applies to a site, a relay and a route."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shared.config import load
from shared.errors import ConfigError
from shared.hops import DestinationLimit
from shared.outgoing import outgoing_from
from shared.routing import Routes
from shared.settings import Settings
from shared.shaping.checks import check_site
from shared.shaping.file import shaping_from
from shared.shaping.settings import Shape, SiteShape
from shared.shaping.shaping import Shaping
from tests.unit.shared.shaping.test_file import written

GMAIL = [f"{name}gmail-smtp-in.l.google.com" for name in ("", "alt1.", "alt2.", "alt3.", "alt4.")]


def shaping(directory: Path, text: str = "") -> Shaping:
    """An installation's, with such a file."""
    return Shaping(written(directory, text))


@pytest.mark.parametrize(
    ("hosts", "provider"),
    [
        (GMAIL, "google"),
        (["ASPMX.L.GOOGLE.COM.", "alt1.aspmx.l.google.com"], "google"),
        (["hotmail-com.olc.protection.outlook.com"], "outlook"),
        (["shop-example.mail.protection.outlook.com"], "exchange-online"),
        (["mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"], "yahoo"),
        (["mx01.mail.icloud.com"], "icloud"),
        (["mx00.emig.gmx.net"], "gmx"),
        (["mx-ha02.web.de", "mx-ha03.web.de"], "gmx"),
        (["mx00.kundenserver.de"], "ionos"),
        (["mx01.t-online.de"], "t-online"),
        (["mx1.comcast.net"], "comcast"),
        (["smtp-in.orange.fr"], "orange"),
        (["mx1.free.fr", "mx2.free.fr"], "free"),
        (["eu-smtp-inbound-1.mimecast.com"], "mimecast"),
        (["mx0a-0001.pphosted.com"], "proofpoint"),
        (["mx.shop.test"], ""),
        (["google.com"], ""),  # A name is not below itself.
        (["mxgoogle.com"], ""),
        (["google.com.evil.test"], ""),
        ([*GMAIL, "mx.shop.test"], ""),  # One host elsewhere, and it is nobody's.
        (["192.0.2.1"], ""),
        ([], ""),
    ],
)
def test_a_site_is_known_by_all_its_mx_hosts(hosts: list[str], provider: str) -> None:
    found = Shaping(load(None, {}))
    shaped = found.of_site(hosts)
    assert shaped.provider == provider
    assert (shaped == found.default) == (not provider)


def test_what_an_entry_does_not_say_the_default_says(tmp_path: Path) -> None:
    found = shaping(tmp_path, "[default]\nper_day = 9\n[site.google]\nper_hour = 3\n")
    shape = found.of_site(GMAIL).shape
    assert (shape.per_day, shape.per_hour, shape.recipients_per_transaction) == (9, 3, 100)
    assert found.of_relay("gw").shape == Shape(per_second=7.0), "that is no site"


def test_nought_lifts_a_limit(tmp_path: Path) -> None:
    found = shaping(tmp_path, "[site.google]\nconnections = 0\n[relay.gw]\nper_second = 0\n")
    shaped = found.of_site(GMAIL)
    assert shaped.shape.connections is None
    assert (shaped.limit.connections, shaped.limit.concurrency) == (0, 0)
    assert found.of_relay("gw").limit == DestinationLimit()


def test_the_limit_for_the_store(tmp_path: Path) -> None:
    text = """
[site.ours]
mx = ["mx.ours.test"]
connections = 4
connections_per_second = 0.5
per_second = 2.5
per_minute = 100
per_hour = 1000
per_day = 9000
weight = 5
"""
    limit = shaping(tmp_path, text).of_site(["mx.ours.test"]).limit
    assert limit == DestinationLimit(
        per_second=2.5,
        concurrency=8,
        per_minute=100,
        per_hour=1000,
        per_day=9000,
        connections=4,
        connections_per_second=0.5,
        weight=5,
    )


def test_the_installations_own_sites_are_asked_first(tmp_path: Path) -> None:
    found = shaping(tmp_path, '[site.ours]\nmx = ["*.l.google.com"]\nconnections = 1\n')
    assert found.of_site(GMAIL).provider == "ours"
    assert found.of_site(["mx.google.com"]).provider == "google"


def test_a_relays_rate_holds_unless_its_table_says_otherwise(tmp_path: Path) -> None:
    assert shaping(tmp_path).of_relay("gw").limit == DestinationLimit(per_second=7.0)
    found = shaping(tmp_path, "[relay.gw]\nper_hour = 50\n").of_relay("gw")
    assert found.limit == DestinationLimit(per_second=7.0, per_hour=50)
    found = shaping(tmp_path, "[relay.gw]\nper_second = 3\n").of_relay("gw")
    assert found.limit == DestinationLimit(per_second=3.0)
    assert shaping(tmp_path).of_relay("nowhere").limit == DestinationLimit()


def test_answers_for_hosts_are_remembered() -> None:
    found = Shaping(load(None, {}))
    assert found.of_site(iter(GMAIL)) is found.of_site(GMAIL)


def test_settings_without_a_file_limit_nothing() -> None:
    found = Shaping(Settings())
    assert found.of_site(GMAIL) == found.default
    assert found.default.limit == DestinationLimit()
    assert list(found.rules) == []


def test_a_route_with_limits_has_hops_and_sources_of_its_own(tmp_path: Path) -> None:
    plain = written(tmp_path, "")
    assert Shaping(plain).of_route("news") is None
    assert Routes(plain).hops == ("gw",)
    assert outgoing_from(plain).sources == ()
    settings = written(tmp_path, "[route.news]\nper_hour = 20\n")
    limited = Shaping(settings).of_route("news")
    assert limited is not None
    assert limited.limit == DestinationLimit(per_hour=20)
    found = outgoing_from(settings)
    assert found.routes.hops == ("gw", "gw@news")
    (source,) = found.sources
    (relay,) = found.relays
    assert (source.name, source.host, source.port) == ("gw@news", relay.host, relay.port)
    assert found.shaping.of_route("news") == limited


def test_a_pool_and_a_direct_route_with_limits(tmp_path: Path) -> None:
    more = """
[[route]]
name = "both"
relays = ["gw", "gw2"]
[[route]]
name = "straight"
direct = true
[[relay]]
name = "gw2"
host = "127.0.0.1"
"""
    text = "[route.both]\nper_day = 1\n[route.straight]\nper_day = 1\n"
    found = outgoing_from(written(tmp_path, text, more=more))
    assert dict(found.routes.pools["pool:both"].members) == {"gw@both": 1, "gw2@both": 1}
    assert [source.name for source in found.sources] == ["gw@both", "gw2@both"]
    assert "mx:?@straight" in found.routes.hops
    assert found.routes.direct == {"straight"}
    assert list(found.direct) == ["straight"]


def test_a_provider_is_known_by_the_domains_of_its_addresses_and_shapes_nothing_by_them() -> None:
    settings = msgspec.structs.replace(Settings(), shaping=shaping_from(None))
    found = Shaping(settings)
    for domain, provider in (
        ("gmail.com", "google"), ("hotmail.com", "outlook"), ("yahoo.co.uk", "yahoo"),
        ("icloud.com", "icloud"), ("web.de", "gmx"), ("shop.test", ""), ("", ""),
        ("x.gmail.com", ""),
    ):  # fmt: skip
        assert found.provider_of_domain(domain) == provider
    assert found.of_site(("gmail.com",)) == found.default


def test_no_domain_is_shipped_for_two_providers() -> None:
    sites = shaping_from(None).site.values()
    domains = [domain for site in sites for domain in site.domains]
    assert len(domains) == len(set(domains)) > 40


def test_an_installation_names_its_own_domains() -> None:
    site = {"island": {"mx": ["*.island.test"], "domains": ["Island.test", "gmail.com"]}}
    found = Shaping(msgspec.convert({"shaping": {"site": site}}, Settings))
    assert found.provider_of_domain("island.test") == "island"
    with pytest.raises(ConfigError, match="domains must be a list of domains of addresses"):
        check_site("island", SiteShape(mx=("*.island.test",), domains=("*.island.test",)), ())
