"""What `posthaste doctor` finds, on real servers that are right and wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.clock import SystemClock
from shared.config import load
from shared.dkim import to_pem
from shared.doctor.finding import Finding
from shared.doctor.patient import Options, Patient
from shared.doctor.run import CHECKS, examine
from shared.outgoing_settings import (
    DirectSettings,
    DkimSettings,
    DnsSettings,
    RelaySettings,
    RouteSettings,
)
from shared.settings import ApplicationSettings, SentrySettings, Settings, StoreSettings
from shared.supervisor.home import Home
from tests.support.certificates import Authority
from tests.support.dkim_keys import ed25519_key, rsa_key
from tests.support.dns_server import DnsServer, txt
from tests.support.installation import installation
from tests.support.redis_server import RedisServer
from tests.support.smtp_server import SmtpServer

PASSWORD = "a-password-of-the-relay"
SOURCE = "203.0.113.7"
PTR = "7.113.0.203.in-addr.arpa"


def examined(
    settings: Settings, *only: str, config: Path | None = None, **options: Any
) -> dict[str, Finding]:
    """Findings by id."""
    patient = Patient(settings, SystemClock(), Options(**{"seconds": 15.0, **options}), config)
    found = asyncio.run(examine(patient, only))
    assert len({each.id for each in found}) == len(found)
    for each in found:
        assert each.remedy or each.severity in ("ok", "info"), f"{each.id} has no remedy"
    return {each.id: each for each in found}


def severities(found: dict[str, Finding]) -> dict[str, str]:
    return {name: each.severity for name, each in found.items()}


def on_store(server: RedisServer, **fields: Any) -> Settings:
    return Settings(store=StoreSettings(redis_url=server.url, **fields))


def test_a_good_store_is_well(redis_server: RedisServer) -> None:
    redis_server.client().config_set("maxmemory", "256mb")
    found = examined(on_store(redis_server), "store")
    assert set(severities(found).values()) == {"ok"}
    assert {
        "store.reachable", "store.version", "store.aof", "store.fsync", "store.eviction",
        "store.memory", "store.scripts", "clock.store",
    } <= set(found)  # fmt: skip


def test_the_distributions_redis_is_well(distribution_redis_server: RedisServer) -> None:
    distribution_redis_server.client().config_set("maxmemory", "256mb")
    found = examined(on_store(distribution_redis_server), "store")
    assert set(severities(found).values()) == {"ok"}


def test_a_store_that_loses_mail_is_told_setting_by_setting(own_redis_server: RedisServer) -> None:
    client = own_redis_server.client()
    for name, value in {
        "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru", "maxmemory": "0",
    }.items():  # fmt: skip
        client.config_set(name, value)
    found = examined(on_store(own_redis_server), "store")
    assert found["store.fsync"].severity == "error"
    assert "everysec" in found["store.fsync"].found
    assert "appendfsync always" in found["store.fsync"].remedy
    assert found["store.eviction"].severity == "error"
    assert found["store.memory"].severity == "warning"
    client.config_set("appendonly", "no")
    client.config_set("maxmemory", str(client.info("memory")["used_memory"]))
    found = examined(on_store(own_redis_server), "store")
    assert found["store.aof"].severity == "error"
    assert found["store.memory"].severity == "error"
    client.config_set("appendfsync", "always")
    client.config_set("no-appendfsync-on-rewrite", "yes")
    assert examined(on_store(own_redis_server), "store")["store.fsync"].severity == "error"


def test_a_store_leaves_a_third_of_the_memory_for_rewrites(own_redis_server: RedisServer) -> None:
    client: Any = own_redis_server.client()
    system = client.info("memory")["total_system_memory"]
    for share, severity in ((2 / 3, "ok"), (3 / 4, "warning")):
        client.config_set("maxmemory", str(int(system * share)))
        assert examined(on_store(own_redis_server), "store")["store.memory"].severity == severity


def test_a_store_user_with_too_few_rights(own_redis_server: RedisServer) -> None:
    client: Any = own_redis_server.client()
    client.execute_command(
        "ACL", "SETUSER", "few", "on", ">few-pass", "~*", "+@all", "-config", "-script"
    )
    url = f"unix://few:few-pass@{own_redis_server.socket}"
    found = examined(Settings(store=StoreSettings(redis_url=url)), "store")
    assert found["store.fsync"].severity == "warning"
    assert found["store.scripts"].severity == "error"
    assert "few-pass" not in str(found)


def test_a_store_that_is_away_is_one_finding_and_the_rest_goes_on(tmp_path: Path) -> None:
    url = "redis://user:the-store-password@127.0.0.1:1/0"
    found = examined(Settings(store=StoreSettings(redis_url=url)), offline=True)
    assert [each for each in found if each.startswith(("store.", "clock."))] == ["store.reachable"]
    assert found["store.reachable"].severity == "error"
    assert "the-store-password" not in str(found)
    assert "settings.dkim" in found
    assert "disk.store" in found


def test_a_store_that_stalls_costs_one_check_its_time(own_redis_server: RedisServer) -> None:
    own_redis_server.stall()
    try:
        found = examined(on_store(own_redis_server), "store", "settings", seconds=3.0)
        assert found["store.reachable"].severity == "error"
        assert "settings.dkim" in found
    finally:
        own_redis_server.resume()


def test_a_full_disk_and_the_ways_out(tmp_path: Path) -> None:
    usage = os.statvfs(tmp_path)
    all_of_it = usage.f_bavail * usage.f_frsize + 10**9
    (tmp_path / "temp-rewriteaof-bg-17.aof").write_bytes(b"x" * 5_000_000)
    store = StoreSettings(data_dir=str(tmp_path), disk_reserve_bytes=all_of_it)
    full = examined(Settings(store=store), "disk")["disk.store"]
    assert full.severity == "error"
    assert "temp-rewriteaof-bg-17.aof" in full.remedy
    assert "rm " + str(tmp_path / "reserve") not in full.remedy
    (tmp_path / "reserve").write_bytes(b"x" * 3_000_000)
    full = examined(Settings(store=store), "disk")["disk.store"]
    assert f"`rm {tmp_path / 'reserve'}` frees 3 MB" in full.remedy


def test_a_disk_with_room(tmp_path: Path) -> None:
    store = StoreSettings(data_dir=str(tmp_path), disk_reserve_bytes=1000)
    found = examined(Settings(store=store), "disk")
    assert severities(found) == {"disk.store": "ok", "disk.reserve": "info"}
    (tmp_path / "reserve").write_bytes(b"")
    assert severities(examined(Settings(store=store), "disk")) == {"disk.store": "ok"}
    gone = StoreSettings(data_dir=str(tmp_path / "gone"))
    assert examined(Settings(store=gone), "disk")["disk.store"].severity == "error"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def relay(server: SmtpServer, **fields: Any) -> RelaySettings:
    return RelaySettings(host="127.0.0.1", port=server.port, ehlo_name="mail.shop.test", **fields)


def sign_in_server(authority: Authority, **options: Any) -> SmtpServer:
    offered = "250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"
    return SmtpServer(
        answers={"EHLO": offered}, users={"user": PASSWORD}, context=authority.server(**options)
    )


def test_a_relay_is_signed_in_to_and_left(authority: Authority) -> None:
    with sign_in_server(authority) as server:
        entry = relay(
            server, tls="required", ca_file=authority.ca_file, user="user", password=PASSWORD
        )
        found = examined(Settings(relay=(entry,)), "relay")
        assert severities(found) == {"relay.relay": "ok"}
        assert "TLSv1.3" in found["relay.relay"].found
        assert server.signed_in == ["PLAIN user"]
        assert server.commands[-1] == "QUIT"
        assert not [line for line in server.commands if line.startswith(("MAIL", "RCPT", "DATA"))]
        assert not server.messages


def test_a_relay_that_cannot_be_used_says_where_it_ends(authority: Authority) -> None:
    with sign_in_server(authority, expired=True) as expired, sign_in_server(authority) as good:
        values = {"ca_file": authority.ca_file, "user": "user", "tls": "required"}
        entries = (
            relay(expired, name="expired", password=PASSWORD, **values),
            relay(good, name="wrong", password="not-the-password", **values),
            relay(good, name="stranger", password=PASSWORD, user="user", tls="required"),
            RelaySettings(name="away", host="127.0.0.1", port=1),
        )
        found = examined(Settings(relay=entries), "relay")
        assert set(severities(found).values()) == {"error"}
        assert "certificate not valid" in found["relay.expired"].found
        assert "535" in found["relay.wrong"].found
        assert "certificate not valid" in found["relay.stranger"].found
        assert "connection refused at connect" in found["relay.away"].found
        assert PASSWORD not in str(found)
        assert "not-the-password" not in str(found)


def test_what_a_relay_says_to_auth_is_not_repeated(authority: Authority) -> None:
    with sign_in_server(authority) as server:
        server.answers["AUTH"] = f"535 5.7.8 no, not with {PASSWORD}"
        entry = relay(
            server, tls="required", ca_file=authority.ca_file, user="user", password=PASSWORD
        )
        found = examined(Settings(relay=(entry,)), "relay")
        assert found["relay.relay"].severity == "error"
        assert PASSWORD not in str(found)


def test_a_relay_that_stalls_is_given_up_in_time() -> None:
    with SmtpServer(answers={"banner": "stall"}) as server:
        found = examined(Settings(relay=(relay(server),)), "relay", seconds=7.0)
        assert found["relay.relay"].severity == "error"
        assert "timed out" in found["relay.relay"].found
        server.release()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[DkimSettings, ...]:
    entries = []
    for key in (rsa_key(), ed25519_key()):
        path = tmp_path / f"{key.selector}.pem"
        path.write_bytes(to_pem(key.private))
        path.chmod(0o600)
        entries.append(DkimSettings(key.domain, key.selector, str(path)))
    return tuple(entries)


def test_dkim_records_are_compared_with_the_keys(keys: tuple[DkimSettings, ...]) -> None:
    rsa, ed = rsa_key(), ed25519_key()
    settings = Settings(dkim=keys)
    names = f"dkim.{rsa.record_name}", f"dkim.{ed.record_name}"
    with DnsServer({("shop.test", "MX"): ["10 mx.shop.test."]}) as server:

        def look() -> tuple[Finding, Finding]:
            found = examined(settings, "dkim", resolver=server.address)
            return found[names[0]], found[names[1]]

        assert [each.severity for each in look()] == ["error", "error"]
        assert rsa.record_name in look()[0].remedy
        server.records[(rsa.record_name, "TXT")] = [txt(rsa.record)]
        server.records[(ed.record_name, "TXT")] = [txt(ed.record)]
        assert [each.severity for each in look()] == ["ok", "ok"]
        other = rsa_key("shop.test", "other")
        for record, severity, words in (
            (other.record, "error", "another key"),
            ("v=DKIM1; k=rsa; p=", "error", "revoked"),
            (rsa.record + "; t=y", "warning", "t=y"),
            (rsa.record.replace("k=rsa", "k=rsa; h=sha1"), "error", "does not let"),
            (rsa.record.replace("; ", " ;  ").replace("p=", "p = "), "ok", "publishes"),
        ):
            server.records[(rsa.record_name, "TXT")] = [txt(record)]
            assert (look()[0].severity, words in look()[0].found) == (severity, True), record
        server.records[(rsa.record_name, "TXT")] = [txt(rsa.record), txt(other.record)]
        assert "2 TXT records" in look()[0].found
        server.silent = True
        assert look()[0].severity == "warning"


GOOD_NAMES = {
    ("mail.shop.test", "A"): [SOURCE],
    (PTR, "PTR"): ["mail.shop.test."],
}


def test_names_that_match_and_that_do_not() -> None:
    with SmtpServer() as smtp, DnsServer(GOOD_NAMES) as server:
        settings = Settings(relay=(relay(smtp),))

        def look() -> dict[str, str]:
            return severities(
                examined(settings, "names", resolver=server.address, sources=(SOURCE,))
            )

        good = {"names.ehlo": "ok", f"names.ptr.{SOURCE}": "ok"}
        assert look() == good
        server.records[("mail.shop.test", "A")] = ["203.0.113.99"]
        assert look() == {"names.ehlo": "info", f"names.ptr.{SOURCE}": "warning"}
        del server.records[("mail.shop.test", "A")]
        assert look() == {"names.ehlo": "warning", f"names.ptr.{SOURCE}": "warning"}
        server.records = {("mail.shop.test", "A"): [SOURCE]}
        assert look() == {**good, f"names.ptr.{SOURCE}": "warning"}


SPF = {
    "pass": ("v=spf1 ip4:203.0.113.0/24 -all", "ok"),
    "include": ("v=spf1 include:_spf.relay.test ~all", "ok"),
    "a": ("v=spf1 a:mail.shop.test -all", "ok"),
    "mx": ("v=spf1 mx/24 -all", "ok"),
    "redirect": ("v=spf1 redirect=_spf.relay.test", "ok"),
    "fail": ("v=spf1 ip4:198.51.100.1 -all", "warning"),
    "neutral": ("v=spf1 ip6:2001:db8::/32", "warning"),
    "minus": ("v=spf1 -ip4:203.0.113.7 +all", "warning"),
    "unknown": ("v=spf1 ipv4:203.0.113.7 -all", "error"),
    "nowhere": ("v=spf1 include:nowhere.test -all", "error"),
    "loop": ("v=spf1 include:shop.test -all", "error"),
    "many": ("v=spf1 " + " ".join(f"a:h{at}.test" for at in range(11)) + " -all", "error"),
}


@pytest.mark.parametrize("record", SPF)
def test_spf_is_evaluated_for_the_source(record: str) -> None:
    text, severity = SPF[record]
    application = ApplicationSettings(return_path="bounces@shop.test")
    records = {
        **GOOD_NAMES,
        ("shop.test", "TXT"): [txt("unrelated"), txt(text)],
        ("shop.test", "MX"): ["10 mx.shop.test."],
        ("mx.shop.test", "A"): ["203.0.113.200"],
        ("_spf.relay.test", "TXT"): [txt("v=spf1 ip4:203.0.113.7 -all")],
    }
    with DnsServer(records) as server:
        found = examined(
            Settings(application={"shop": application}), "spf",
            resolver=server.address, sources=(SOURCE,),
        )  # fmt: skip
        assert severities(found) == {f"spf.shop.test.{SOURCE}": severity}


def test_spf_that_is_missing_or_doubled(keys: tuple[DkimSettings, ...]) -> None:
    with DnsServer({("shop.test", "A"): ["203.0.113.1"]}) as server:
        settings = Settings(dkim=keys)
        found = examined(settings, "spf", resolver=server.address, sources=(SOURCE,))
        (missing,) = found.values()
        assert missing.severity == "warning"
        assert f"ip4:{SOURCE}" in missing.remedy
        server.records[("shop.test", "TXT")] = [txt("v=spf1 -all"), txt("v=spf1 ?all")]
        (doubled,) = examined(settings, "spf", resolver=server.address, sources=(SOURCE,)).values()
        assert doubled.severity == "error"


def test_port_25_is_tried_at_our_own_exchangers(keys: tuple[DkimSettings, ...]) -> None:
    records = {("shop.test", "MX"): ["20 far.test.", "10 localhost."]}
    with SmtpServer() as smtp, DnsServer(records) as server:
        settings = Settings(dkim=keys)
        found = examined(settings, "egress", resolver=server.address, smtp_port=smtp.port)
        assert severities(found) == {"egress.port25": "ok"}
        assert "QUIT" in smtp.commands
        assert not smtp.messages
        found = examined(settings, "egress", resolver=server.address, smtp_port=1)
        assert severities(found) == {"egress.port25": "info"}


def directly(**fields: Any) -> Settings:
    """Settings with a direct route."""
    return Settings(
        relay=(RelaySettings(host="127.0.0.1", port=1),),
        route=(RouteSettings(name="straight", direct=True, **fields),),
    )


def test_direct_delivery_asks_the_dns_servers_of_the_settings() -> None:
    with DnsServer({("mail.shop.test", "A"): [SOURCE]}) as server, DnsServer({}) as silent:
        settings = msgspec.structs.replace(
            directly(),
            dns=DnsSettings(servers=("127.0.0.1",), port=server.port),
            direct=DirectSettings(ehlo_name="mail.shop.test"),
        )

        def look(settings: Settings = settings) -> dict[str, str]:
            return severities(examined(settings, "direct", resolver=server.address, seconds=2.0))

        assert look() == {"direct.dns.127.0.0.1": "ok", "direct.ehlo.mail.shop.test": "ok"}
        assert ". NS" in server.asked
        server.records.clear()
        assert look() == {"direct.dns.127.0.0.1": "ok", "direct.ehlo.mail.shop.test": "warning"}
        silent.silent = True
        dns = msgspec.structs.replace(settings.dns, port=silent.port)
        away = msgspec.structs.replace(settings, dns=dns, direct=DirectSettings())
        assert look(away) == {"direct.dns.127.0.0.1": "error", "direct.ehlo": "info"}
        assert look(Settings(relay=settings.relay)) == {}
        own = msgspec.structs.replace(settings, dns=DnsSettings())
        assert look(own)["direct.dns.system"] == "ok"  # That is, what --resolver names.


def test_a_direct_route_gets_out_on_port_25_or_it_is_an_error(
    keys: tuple[DkimSettings, ...],
) -> None:
    settings = msgspec.structs.replace(directly(), dkim=keys)
    with SmtpServer() as smtp, DnsServer({("shop.test", "MX"): ["10 localhost."]}) as server:

        def look(port: int) -> Finding:
            found = examined(settings, "egress", resolver=server.address, smtp_port=port)
            return found["egress.port25"]

        assert look(smtp.port).severity == "ok"
        assert look(1).severity == "error"
        server.records.clear()
        unknown = look(smtp.port)
        assert unknown.severity == "info"
        assert "nobody knows from here" in unknown.found


def test_a_route_s_source_address_has_a_name_like_any_other() -> None:
    with DnsServer({("mail.shop.test", "A"): ["8.8.4.4"]}) as server:
        settings = directly(source_address="8.8.4.4")
        found = examined(settings, "names", resolver=server.address)
        assert found["names.ptr.8.8.4.4"].severity == "warning"
        server.records[("4.4.8.8.in-addr.arpa", "PTR")] = ["mail.shop.test."]
        found = examined(settings, "names", resolver=server.address)
        assert found["names.ptr.8.8.4.4"].severity == "ok"


def test_the_shaping_file_that_is_read_is_told(tmp_path: Path) -> None:
    config, shaping = tmp_path / "posthaste.toml", tmp_path / "shaping.toml"
    config.write_text("")
    assert "settings.shaping" not in examined(load(config, {}), "settings")
    shaping.write_text("[site.google]\nper_day = 9\nconnections = 1\n[default]\nconnections = 2\n")
    found = examined(load(config, {}), "settings")["settings.shaping"]
    assert (found.severity, f"{shaping} is read, with 2 entries" in found.found) == ("ok", True)
    shaping.write_text("[relay.nobody]\nper_day = 9\n")
    found = examined(load(config, {}), "settings")["settings.outgoing"]
    assert (found.severity, "relay.nobody" in found.found) == ("error", True)


def test_files_that_others_read_or_change(tmp_path: Path, keys: tuple[DkimSettings, ...]) -> None:
    password, config, dsn = tmp_path / "password", tmp_path / "posthaste.toml", tmp_path / "dsn"
    for path in (password, config, dsn):
        path.write_text(PASSWORD + "\n")
        path.chmod(0o600)
    settings = Settings(
        relay=(RelaySettings(host="127.0.0.1", password_file=str(password)),),
        dkim=keys, sentry=SentrySettings(dsn_file=str(dsn)),
    )  # fmt: skip
    found = examined(settings, "files", config=config)
    assert severities(found) == {"files.private": "ok"}
    password.chmod(0o644)
    Path(keys[0].key_file).chmod(0o660)
    config.chmod(0o646)
    dsn.unlink()
    found = examined(settings, "files", config=config)
    assert severities(found) == {
        "files.relay[0].password_file": "error", "files.dkim[0].key_file": "error",
        "files.sentry.dsn_file": "error", "files.config": "error",
    }  # fmt: skip
    assert found["files.relay[0].password_file"].remedy == f"chmod 640 {password}"
    for each in found.values():
        if each.remedy.startswith("chmod "):
            subprocess.run(each.remedy.split(), check=True)
    dsn.write_text("x")
    dsn.chmod(0o600)
    assert severities(examined(settings, "files", config=config)) == {"files.private": "ok"}
    assert PASSWORD not in str(found)


def test_a_configuration_with_a_password_in_it_is_private(tmp_path: Path) -> None:
    config = tmp_path / "posthaste.toml"
    config.write_text("")
    config.chmod(0o644)
    plain = Settings()
    assert severities(examined(plain, "files", config=config)) == {"files.private": "ok"}
    entry = RelaySettings(url=f"smtp://user:{PASSWORD}@127.0.0.1")
    found = examined(Settings(relay=(entry,)), "files", config=config)
    assert severities(found) == {"files.config": "error"}


def test_risky_settings_are_told() -> None:
    risky = RelaySettings(
        name="far", host="198.51.100.9", tls="none", user="u", password=PASSWORD, insecure_auth=True
    )
    web = msgspec.structs.replace(
        Settings().web, operator_listen="198.51.100.5:8026", listen="0.0.0.0:80"
    )
    found = examined(Settings(relay=(risky,), web=web), "settings")
    assert found["settings.insecure_auth.far"].severity == "error"
    assert found["settings.dkim"].severity == "warning"
    assert "settings.web.listen" not in found
    assert PASSWORD not in str(found)
    public = msgspec.structs.replace(web, operator_listen="8.8.8.8:8026")
    found = examined(Settings(web=public), "settings")
    assert found["settings.web.operator_listen"].severity == "warning"
    broken = Settings(relay=(RelaySettings(host="x.test", tls="nonsense"),))
    found = examined(broken, offline=True)
    assert found["settings.outgoing"].severity == "error"
    assert "tls must be one of" in found["settings.outgoing"].found


def test_a_check_that_breaks_or_hangs_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(patient: Patient) -> list[Finding]:
        raise RuntimeError(PASSWORD)

    async def hangs(patient: Patient) -> list[Finding]:
        await asyncio.sleep(60)
        return []

    replaced = [
        msgspec.structs.replace(
            check, run={"disk": breaks, "files": hangs}.get(check.name, check.run)
        )
        for check in CHECKS
    ]
    monkeypatch.setattr("shared.doctor.run.CHECKS", tuple(replaced))
    found = examined(Settings(), "disk", "files", "settings", seconds=1.0)
    assert found["disk.broke"].severity == "error"
    assert found["files.time"].severity == "warning"
    assert "settings.dkim" in found
    assert PASSWORD not in str(found)


def command(tmp_path: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shared.cli.main", "doctor", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=90,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )  # fmt: skip


def test_the_command_answers_by_its_exit_code(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    own_redis_server.client().config_set("maxmemory", "256mb")
    url = {"POSTHASTE_STORE_REDIS_URL": own_redis_server.url}
    good = command(tmp_path, "--only", "store", "--json", **url)
    assert good.returncode == 0, good.stderr
    body = json.loads(good.stdout)
    assert body["severity"] == "ok"
    assert set(body["findings"][0]) == {"id", "severity", "found", "remedy"}
    own_redis_server.client().config_set("maxmemory", "0")
    warned = command(tmp_path, "--only", "store", "--quiet", **url)
    assert warned.returncode == 1
    assert warned.stdout.startswith("warning  store.memory")
    assert "\n8 findings: 1 warning, 7 ok" in warned.stdout
    wrong = command(tmp_path, "--only", "store", POSTHASTE_STORE_REDIS_URL="redis://127.0.0.1:1/0")
    assert wrong.returncode == 3
    for options in (("--only", "nothing"), ("--source", "nonsense"), ("--resolver", "x")):
        assert command(tmp_path, *options).returncode == 2
    unreadable = command(tmp_path, POSTHASTE_STORE_TIMEOUT="1")
    assert unreadable.returncode == 2
    assert "unknown setting" in unreadable.stderr


def test_the_key_that_an_installation_has_made_counts(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    home.settings.write_text('[unsubscribe]\nurl = "https://mail.shop.test"\n')
    done = command(tmp_path, "--home", "home", "--offline", "--only", "feedback", "--json")
    assert done.returncode == 0, done.stderr
    found = {each["id"]: each["severity"] for each in json.loads(done.stdout)["findings"]}
    assert found["feedback.key"] == "ok"


def test_a_running_installation_is_examined_as_it_runs(tmp_path: Path) -> None:
    """Its store and its inbox, wherever they listen; and the store alone when it is down."""
    with installation("--workers", "1", "--web", "1") as facts:
        home = str(facts["home"])
        done = command(tmp_path, "--home", home, "--offline", "--json")
        found = {each["id"]: each["severity"] for each in json.loads(done.stdout)["findings"]}
        assert done.returncode == 1, done.stdout
        warnings = {name for name, each in found.items() if each == "warning"}
        assert warnings == {"settings.dkim", "console.owner"}
        assert found["relay.relay"] == "ok"
        assert found["store.fsync"] == "ok"
        assert found["disk.store"] == "ok"
        assert facts["key"] not in done.stdout
        stopped = [sys.executable, "-m", "shared.cli.main", "down", "--home", home]
        subprocess.run(stopped, check=True, stdout=subprocess.DEVNULL)
        done = command(tmp_path, "--home", home, "--offline", "--only", "store")
        assert done.returncode == 3
        assert "store.reachable" in done.stdout
