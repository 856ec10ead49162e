"""Entries of [[relay]]: what they come to, and that a wrong one is told with its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.config import load
from shared.errors import ConfigError
from shared.outgoing import outgoing_from
from shared.outgoing_settings import RelaySettings, TimeoutSettings
from shared.relays import relays_from
from shared.settings import Settings


def entry(**fields: Any) -> RelaySettings:
    return RelaySettings(**({"host": "relay.test"} | fields))


@pytest.mark.parametrize(
    ("fields", "tls", "port"),
    [
        ({"url": "smtp://127.0.0.1:2525", "host": ""}, "none", 2525),
        ({"url": "smtp://[::1]:2525", "host": ""}, "none", 2525),
        ({"url": "smtp://relay.test", "host": ""}, "required", 25),
        ({"url": "smtps://relay.test", "host": ""}, "implicit", 465),
        ({}, "required", 587),
        ({"tls": "implicit"}, "implicit", 465),
        ({"host": "localhost"}, "none", 25),
        ({"host": "127.0.0.2"}, "none", 25),
        ({"host": "::1"}, "none", 25),
        ({"tls": "opportunistic", "port": 25}, "opportunistic", 25),
        ({"tls": "implicit", "port": 465}, "implicit", 465),
        ({"url": "smtps://relay.test", "host": "", "tls": "implicit"}, "implicit", 465),
        ({"host": "localhost", "port": 465}, "none", 465),
        ({"host": "::1", "port": 465, "tls": "required"}, "required", 465),
        ({"host": "127.0.0.1", "source_address": "127.0.0.9"}, "none", 25),
        ({"host": "1.relay.test", "source_address": "::1"}, "required", 587),
        ({"connections": 10_000, "messages_per_connection": 10_000}, "required", 587),
        ({"ehlo_name": "[192.0.2.1]"}, "required", 587),
        ({"ehlo_name": "[IPv6:2001:db8::1]"}, "required", 587),
    ],
)
def test_tls_is_required_beyond_this_machine(fields: dict[str, Any], tls: str, port: int) -> None:
    (relay,) = relays_from([entry(**fields)])
    assert (relay.tls, relay.port) == (tls, port)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://relay.test", "host": ""}, "smtp://"),
        ({"url": "smtp://", "host": ""}, "smtp://"),
        ({"url": "smtp://relay.test:99999", "host": ""}, "url"),
        ({"url": "smtp://relay.test"}, "not both"),
        ({"host": ""}, 'host = "smtp.example.com"'),
        ({"host": "a b"}, "neither a host name"),
        ({"host": "a\r\nb"}, "neither a host name"),
        ({"host": "-x.test\n"}, "neither a host name"),
        ({"port": 70000}, "65535"),
        ({"tls": "maybe"}, "implicit, required, opportunistic, none"),
        ({"user": "u"}, "go together"),
        ({"password": "p"}, "go together"),
        ({"user": "u", "password": "p", "tls": "none"}, "insecure_auth"),
        ({"user": "u", "password": "p", "host": "127.0.0.1"}, "insecure_auth"),
        ({"user": "u", "password": "p", "tls": "opportunistic", "insecure_auth": True}, "required"),
        ({"user": "u", "password": "p", "password_env": "X"}, "once"),
        ({"user": "u", "password_env": "POSTHASTE_TEST_UNSET"}, "not set"),
        ({"user": "u", "password_file": "/nowhere/at/all"}, "cannot read"),
        ({"user": "u\0", "password": "p"}, "control characters"),
        ({"user": "u", "password": "p", "auth": "gssapi"}, "cram-md5"),
        ({"user": "u", "auth": "xoauth2"}, "token_file"),
        ({"user": "u", "token_file": "x", "password": "p", "auth": "xoauth2"}, "one of them"),
        ({"user": "u", "token_file": "x"}, "xoauth2"),
        ({"user": "u", "auth": "xoauth2", "token_command": "a 'b"}, "token_command"),
        ({"user": "u", "auth": "xoauth2", "token_command": " "}, "token_command is blank"),
        ({"url": "smtps://relay.test", "host": "", "tls": "none"}, "leave tls out"),
        ({"url": "smtps://relay.test", "host": "", "tls": "required"}, "leave tls out"),
        ({"url": "smtp://relay.test:465", "host": ""}, 'tls = "implicit"'),
        ({"port": 465}, 'tls = "implicit"'),
        ({"port": 465, "tls": "required"}, 'tls = "implicit"'),
        ({"port": 465, "tls": "opportunistic"}, 'tls = "implicit"'),
        ({"host": "256.1.1.1"}, "neither a host name"),
        ({"host": "10.0.0"}, "neither a host name"),
        ({"host": "127.0.0.1", "source_address": "::1"}, "IPv6, but the host is IPv4"),
        ({"host": "::1", "source_address": "127.0.0.1"}, "IPv4, but the host is IPv6"),
        ({"connections": 0}, "connections"),
        ({"connections": 10_001}, "10000"),
        ({"messages_per_connection": 0}, "messages_per_connection"),
        ({"messages_per_connection": 10_001}, "10000"),
        ({"idle_seconds": 0.0}, "idle_seconds"),
        ({"max_age_seconds": float("inf")}, "max_age_seconds"),
        ({"rate": -1.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"timeouts": TimeoutSettings(command=0)}, "timeouts.command"),
        ({"timeouts": TimeoutSettings(final=-1)}, "timeouts.final"),
        ({"timeouts": TimeoutSettings(connect=float("nan"))}, "timeouts.connect"),
        ({"timeouts": TimeoutSettings(quit=float("inf"))}, "timeouts.quit"),
        ({"ehlo_name": "a b"}, "ehlo_name"),
        ({"ehlo_name": "[zzz:IPv]"}, "ehlo_name"),
        ({"ehlo_name": "[IPv6:127.0.0.1]"}, "ehlo_name"),
        ({"ehlo_name": "[::1]"}, "ehlo_name"),
        ({"source_address": "eth0"}, "source_address"),
        ({"dsn": "success"}, "dsn"),
        ({"dkim_skip_headers": ("From",)}, "always signed"),
        ({"dkim_skip_headers": ("Da te",)}, "not a header"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"client_certificate": "/nowhere/c.pem"}, "client_certificate"),
        ({"client_key": "/nowhere/c.pem"}, "needs a client_certificate"),
        ({"name": "Not A Name"}, "lower-case"),
    ],
)
def test_b17_a_wrong_relay_is_an_error_with_the_remedy(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="relay") as caught:
        relays_from([entry(**fields)])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_relays_have_names_of_their_own() -> None:
    found = relays_from([entry(), entry(name="backup")])
    assert [relay.name for relay in found] == ["relay", "backup"]
    for entries in ([entry(), entry()], [entry(), entry(name="relay")], []):
        with pytest.raises(ConfigError, match="relay"):
            relays_from(entries)


def test_passwords_come_from_the_url_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (relay,) = relays_from([entry(host="", url="smtp://u%40x:p%3Aw@relay.test")])
    assert (relay.user, relay.password) == ("u@x", "p:w")
    secret = tmp_path / "secret"
    secret.write_text("from file\n")
    (relay,) = relays_from([entry(user="u", password_file=str(secret))])
    assert relay.password == "from file"
    monkeypatch.setenv("RELAY_SECRET", "from env")
    (relay,) = relays_from([entry(user="u", password_env="RELAY_SECRET")])
    assert relay.password == "from env"


def test_b30_a_password_is_not_shown() -> None:
    settings = entry(host="", url="smtp://u:hidden@relay.test")
    (relay,) = relays_from([settings])
    assert "hidden" not in repr(relay)
    assert "hidden" not in repr(settings)
    assert "hidden" not in repr(Settings(relay=(settings,)))


def test_relays_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret")
    file = tmp_path / "posthaste.toml"
    file.write_text(
        '[[relay]]\nhost = "a.test"\nuser = "u"\npassword_file = "pw"\ndkim = "off"\n'
        'dkim_skip_headers = ["Date", "Message-ID"]\nrate = 5\ntimeouts = { final = 60 }\n'
        '[[relay]]\nname = "b"\nhost = "b.test"\nsource_address = "127.0.0.1"\n'
    )
    first, second = outgoing_from(load(file, {})).relays
    assert (first.password, first.signed, first.rate) == ("secret", False, 5.0)
    assert first.dkim_skip_headers == ("date", "message-id")
    assert (first.timeouts.final, first.timeouts.command) == (60.0, 300.0)
    assert (second.name, second.source_address, second.signed) == ("b", "127.0.0.1", True)


def test_the_environment_sets_the_first_relay(tmp_path: Path) -> None:
    file = tmp_path / "posthaste.toml"
    file.write_text('[[relay]]\nhost = "a.test"\nport = 26\ntls = "none"\nconnections = 3\n')
    environment = {
        "POSTHASTE_RELAY_CONNECTIONS": "7",
        "POSTHASTE_RELAY_TLS": "required",
        "POSTHASTE_RELAY_URL": "smtp://c.test:27",
        "POSTHASTE_RELAY_DKIM_SKIP_HEADERS": "Date, Message-ID",
    }
    (relay,) = outgoing_from(load(file, environment)).relays
    assert (relay.host, relay.port, relay.tls, relay.connections) == ("c.test", 27, "required", 7)
    assert relay.dkim_skip_headers == ("date", "message-id")
    (relay,) = outgoing_from(load(None, {"POSTHASTE_RELAY_HOST": "d.test"})).relays
    assert relay.host == "d.test"


def test_the_environment_sets_lists_with_commas() -> None:
    variables = {"POSTHASTE_DNS_SERVERS": "192.0.2.53, 2001:db8::53,", "POSTHASTE_DNS_PORT": "54"}
    dns = load(None, variables).dns
    assert (dns.servers, dns.port) == (("192.0.2.53", "2001:db8::53"), 54)
    assert load(None, {"POSTHASTE_DNS_SERVERS": ""}).dns.servers == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[relay]]\nhots = 'x'\n", ["relay.hots", "relay.host"]),
        ("[[relay]]\nhost = 'x'\nconnections = 'many'\n", ["relay[0].connections"]),
        ("[[relay]]\nhost = 'x'\ndkim = 'maybe'\n", ["relay[0].dkim"]),
        ("[[relay]]\nhost = 'x'\ntimeouts = { finel = 3 }\n", ["timeouts.finel", "final"]),
        ("relay = 'x'\n", ["relay"]),
        ("[retry]\nschedule_seconds = []\n", ["retry", "schedule_seconds"]),
        ("[retry]\nschedule_seconds = [0]\n", ["retry", "schedule_seconds"]),
        ("[retry.bulk]\nschedule_seconds = [-1]\n", ["retry", "schedule_seconds"]),
        ("[retry.bulk]\nschedule_second = [1]\n", ["retry.bulk.schedule_second"]),
        ("[retry]\ngive_up_seconds = 0\n", ["retry", "give_up_seconds"]),
        ("[retry]\njitter = 2\n", ["retry.jitter"]),
        ("[dns]\nservers = ['ns.test']\n", ["dns.servers", "ns.test"]),
        ("[dns]\nport = 0\n", ["dns.port"]),
        ("[dns]\ntimeout_seconds = 0\n", ["dns.timeout_seconds"]),
        ("[dns]\nallow_networks = ['10.0.0.1/8']\n", ["dns.allow_networks", "10.0.0.1/8"]),
        ("[application.shop]\nreturn_pat = 'x@y.z'\n", ["application.return_pat"]),
        ("[application.shop]\nreturn_path = 'nobody'\n", ["application.shop.return_path"]),
        ("[application.shop]\nquota_per_day = -1\n", ["application.shop.quota_per_day"]),
        ("[application.shop]\nquota_per_minute = 'x'\n", ["quota_per_minute"]),
        ("[application.shop]\nweight = 0\n", ["application.shop.weight", "1 to 100"]),
        ("[application.shop]\nweight = 101\n", ["application.shop.weight", "1 to 100"]),
        (
            "[application.shop]\nquota_per_hour = 1\n",
            ["application.quota_per_hour", "did you mean"],
        ),
        ("require_dkim = true\n[[relay]]\nhost = 'x'\ndkim = 'off'\n", ["require_dkim", "relay"]),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_setting(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    file = tmp_path / "posthaste.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        outgoing_from(load(file, {}))
    for word in words:
        assert word in str(caught.value)
