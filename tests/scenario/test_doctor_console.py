"""What `posthaste doctor` finds about the console: key, mail, proxies, URL, owners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from werkzeug.wrappers import Request, Response

from shared.accounts.sealing import Sealer
from shared.accounts.user import User
from shared.accounts.users import Users, new_id
from shared.api_keys import generate
from shared.cli.main import cli
from shared.clock import SystemClock
from shared.console_settings import ConsoleSettings
from shared.doctor.finding import Finding
from shared.outgoing_settings import DkimSettings
from shared.settings import Settings, StoreSettings
from shared.store.redis_keys import RedisKeys
from shared.store.redis_records import RedisRecords
from shared.supervisor.home import Home
from tests.scenario.test_doctor import examined, severities
from tests.scenario.test_doctor_feedback import served
from tests.support.certificates import Authority
from tests.support.console import KEY, ConsoleApi
from tests.support.redis_server import RedisServer

URL = "https://console.example.test"
OTHER = "o" * 32
FINE = {
    "console.key": "ok", "console.mail_from": "ok", "console.owner": "ok",
}  # fmt: skip


def settings(server: RedisServer, **console: Any) -> Settings:
    """A console with nothing to be said against, on this store."""
    values = {
        "url": URL,
        "key": KEY,
        "mail_from": "Posthaste <posthaste@mail.example.test>",
        "trusted_proxies": ("10.0.0.0/8",),
        **console,
    }
    return Settings(
        store=StoreSettings(redis_url=server.url),
        console=ConsoleSettings(**values),
        dkim=(DkimSettings("example.test", "s1", ""),),
    )


def look(found: Settings) -> dict[str, Finding]:
    return examined(found, "console", offline=True)


def owner(server: RedisServer, **fields: Any) -> User:
    """A new one who can sign in, with an app."""
    user = User(new_id(), f"{new_id()}@people.test", "Ann", "owner", 1, password="hash")
    seed = Sealer((KEY.encode(),)).seal(user.id, b"seed")
    user = msgspec.structs.replace(user, **{"second_factor": "totp", "totp_seed": seed, **fields})
    records = RedisRecords(settings(server))
    assert Users(records).add(user)
    records.close()
    return user


def test_a_console_in_order_is_well(own_redis_server: RedisServer) -> None:
    owner(own_redis_server)
    assert severities(look(settings(own_redis_server))) == FINE
    assert look(settings(own_redis_server, url="")) == {}


def test_nobody_who_may_do_everything_is_told_with_the_command(
    own_redis_server: RedisServer,
) -> None:
    for fields in ({"disabled": True}, {"password": ""}, {"role": "operator"}):
        owner(own_redis_server, **fields)
        found = look(settings(own_redis_server))["console.owner"]
        assert found.severity == "warning"
        assert "--role owner" in found.remedy


def test_owners_with_a_password_alone_are_counted_and_not_named(
    own_redis_server: RedisServer,
) -> None:
    bare = owner(own_redis_server, second_factor="none", totp_seed=b"")
    owner(own_redis_server)
    found = look(settings(own_redis_server))
    assert found["console.owner"].severity == "warning"
    assert "1 of 2" in found["console.owner"].found
    assert bare.login not in str(found)
    assert bare.id not in str(found)


def test_a_key_that_does_not_open_second_factors(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    owner(own_redis_server)
    found = look(settings(own_redis_server, key=OTHER))
    assert found["console.second_factors"].severity == "error"
    before = tmp_path / "before"
    before.write_text(KEY)
    found = look(settings(own_redis_server, key=OTHER, previous_key_file=str(before)))
    assert severities(found) == FINE
    assert not {KEY, OTHER} & {*str(found).split()}


@pytest.mark.parametrize("key", ["short", ""])
def test_a_key_that_is_not_there_or_too_short(own_redis_server: RedisServer, key: str) -> None:
    owner(own_redis_server)
    changed = {"key": key, "key_file": "" if key else "/nonexistent/key"}
    assert look(settings(own_redis_server, **changed))["console.key"].severity == "error"


def test_keys_of_the_console_s_own_application_are_told(own_redis_server: RedisServer) -> None:
    owner(own_redis_server)
    keys = RedisKeys(settings(own_redis_server))
    _, fine = generate("shop", (), ("critical",), SystemClock())
    _, old = generate("Posthaste", (), ("critical",), SystemClock())
    keys.add(fine)
    assert severities(look(settings(own_redis_server))) == FINE
    keys.add(old)
    found = look(settings(own_redis_server))["console.api_keys"]
    assert (found.severity, old.id in found.found) == ("warning", True)
    keys.revoke(old.id)
    assert severities(look(settings(own_redis_server))) == FINE
    keys.close()


@pytest.mark.parametrize(
    ("changed", "severity"),
    [
        ({"mail_from": ""}, "info"),
        ({"mail_from": "posthaste@elsewhere.test"}, "info"),
        ({"mail_from": "nobody"}, "error"),
    ],
)
def test_mail_of_its_own_can_be_sent_and_is_signed(
    redis_server: RedisServer, changed: dict[str, str], severity: str
) -> None:
    assert look(settings(redis_server, **changed))["console.mail_from"].severity == severity


def test_mail_of_its_own_that_would_be_refused(redis_server: RedisServer) -> None:
    found = settings(redis_server, mail_from="posthaste@elsewhere.test")
    found = msgspec.structs.replace(found, require_dkim=True)
    assert look(found)["console.mail_from"].severity == "error"


@pytest.mark.parametrize(
    ("url", "proxies", "severity"),
    [
        (URL, (), "warning"),
        (URL, ("0.0.0.0/0",), "error"),
        (URL, ("10.0.0.0/8", "::/0"), "error"),
        ("http://127.0.0.1:8025", (), None),
    ],
)
def test_who_comes_is_known_behind_a_load_balancer(
    redis_server: RedisServer, url: str, proxies: tuple[str, ...], severity: str | None
) -> None:
    found = severities(look(settings(redis_server, url=url, trusted_proxies=proxies)))
    assert found.get("console.trusted_proxies") == severity


def test_a_store_that_is_away_is_told_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    found = Settings(
        store=StoreSettings(redis_url=f"unix://{tmp_path}/nothing"),
        console=ConsoleSettings(url=URL, key=KEY),
    )
    told = severities(look(found))
    assert told["console.users"] == "warning"
    assert told["console.key"] == "ok"
    assert "console.owner" not in told


def test_its_url_leads_to_it_over_a_good_certificate(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(url: str) -> tuple[str, str]:
        found = examined(settings(redis_server, url=url), "console", seconds=4.0)["console.url"]
        return found.severity, found.found

    @Request.application
    def moving(request: Request) -> Response:
        del request
        return Response("", 302, {"Location": "https://elsewhere.test/"})

    authority, apis = Authority(tmp_path), list[ConsoleApi]()
    with served(lambda *call: apis[0].app(*call), authority.server("localhost")) as port:
        apis.append(ConsoleApi(url=f"https://localhost:{port}"))
        severity, text = asked(f"https://localhost:{port}")
        assert (severity, "certificate" in text) == ("error", True)
        monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)
        assert asked(f"https://localhost:{port}")[0] == "ok"
    apis[0].close()
    assert asked(f"https://localhost:{port}")[0] == "warning"
    with served(moving) as port:
        severity, text = asked(f"http://127.0.0.1:{port}")
        assert (severity, "elsewhere.test" in text) == ("error", True)
    with served(Response("hello")) as port:
        assert asked(f"http://127.0.0.1:{port}")[0] == "warning"


def test_the_console_that_up_has_set_by_itself_is_known_to_commands(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    home.prepare()
    url = "http://127.0.0.1:1"
    home.write_up({"redis": own_redis_server.url, "console": url, "console_mail_from": "a@b.test"})
    words = ["doctor", "--home", str(tmp_path), "--only", "console", "--offline", "--json"]
    told = json.loads(CliRunner().invoke(cli, words).stdout)["findings"]
    assert {each["id"] for each in told} == {"console.key", "console.mail_from", "console.owner"}
    assert "b.test" in str(told)
    create = ["user", "create", "ann@people.test", "--role", "owner", "--home", str(tmp_path)]
    assert CliRunner().invoke(cli, create).stdout.startswith(f"{url}/console/invitation/")
