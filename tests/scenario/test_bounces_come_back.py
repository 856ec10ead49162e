"""A real Postfix takes mail, cannot deliver it after all, and its bounce comes back to us.

Its MAIL FROM is the return path that a worker made, its DSN is Postfix's own, over STARTTLS.
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shared.cli.main import cli
from shared.errors import ConfigError
from shared.supervisor.ports import reserve
from tests.support.certificates import Authority
from tests.support.installation import installation
from tests.support.postfix import postfix
from tests.support.returns import DOMAIN, Client, dsn
from tests.support.smtp_server import SmtpServer
from tests.support.system import QUICK, System, message, poll

BOUNCES = """
[bounces]
domains = ["{domain}"]
certificate_file = "{chain}"
key_file = "{key}"
"""
POSTFIX = {
    "myhostname": "mx.there.test",
    "mynetworks": "127.0.0.0/8",
    "relay_domains": "late.test, fulls.test",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "disable_dns_lookups": "yes",
    "smtp_tls_security_level": "may",
    "smtp_tls_loglevel": "1",
}


@contextmanager
def _system(directory: Path) -> Iterator[System]:
    """Worker -> Postfix, which takes all -> servers that take nothing; and the way back."""
    authority = Authority(directory)
    chain, key = authority.files("mx.shop.test")
    held = reserve("127.0.0.1")
    gone = SmtpServer(answers={"RCPT": "550 5.1.1 no such user here"})
    full = SmtpServer(answers={"RCPT": "552 5.2.2 mailbox full"})
    try:
        with gone, full:
            ports = {"late.test": gone.port, "fulls.test": full.port, DOMAIN: held.port}
            maps = ", ".join(f"{{{{{name}=smtp:[127.0.0.1]:{at}}}}}" for name, at in ports.items())
            settings = {**POSTFIX, "transport_maps": f"inline:{{{{ {maps} }}}}"}
            with (
                postfix(settings, authority=authority) as relay,
                installation(
                    "--smtp-relay", f"smtp://127.0.0.1:{relay.port}", "--web", "1",
                    "--workers", "1", "--bounces", str(held.port),
                    settings=QUICK + BOUNCES.format(domain=DOMAIN, chain=chain, key=key),
                ) as facts,
            ):  # fmt: skip
                yield System(facts, gone)
    finally:
        held.release()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with _system(tmp_path_factory.mktemp("bounces")) as found:
        yield found


def bounces(system: System) -> dict[str, float]:
    """What the server for bounces counts."""
    return system.samples(system.facts()["bounces_operator"])


def test_a_dead_address_bounces_later_and_gets_no_more(system: System) -> None:
    identifier = system.send(to="nobody@late.test")
    system.wait_status(identifier, "bounced")
    (recipient,) = system.recipients(identifier)
    first, last = recipient["attempts"]
    assert (first["outcome"], first["via"]) == ("delivered", "relay")
    assert (last["outcome"], last["via"], last["charged"]) == ("bounced", "dsn", False)
    assert (last["enhanced_code"], last["note"]) == ("5.1.1", "bounced after delivery")
    assert last["reply"] == "no such user here"
    assert recipient["attempt_count"] == 1
    assert system.ledger(identifier) == ["accepted", "attempt", "bounced"]
    status, found, _ = system.ask("POST", "/v1/messages", message(to="Nobody@LATE.test"))
    assert status == 202
    poll(lambda: system.recipients(found["id"])[0]["status"] == "suppressed")
    assert bounces(system)['posthaste_returned_mail_total{kind="dsn",outcome="changed"}'] >= 1
    system.reconcile()


def test_a_full_mailbox_bounces_and_is_written_to_again(system: System) -> None:
    for _ in range(2):
        identifier = system.send(to="somebody@fulls.test")
        system.wait_status(identifier, "bounced")
        assert system.ledger(identifier) == ["accepted", "attempt", "bounced"]


def test_two_recipients_bounce_each_by_himself(system: System) -> None:
    identifier = system.send(to=["gone@late.test", "full@fulls.test"])
    system.wait_status(identifier, "bounced")
    told = [each["attempts"][-1]["enhanced_code"] for each in system.recipients(identifier)]
    assert told == ["5.1.1", "5.2.2"]
    assert sorted(system.ledger(identifier)) == ["accepted", *["attempt"] * 2, *["bounced"] * 2]


def test_the_role_is_alive_ready_and_in_the_status(system: System) -> None:
    facts = system.facts()
    assert facts["bounces"].startswith("smtp://127.0.0.1:")
    for path in ("/livez", "/readyz"):
        assert system.page(facts["bounces_operator"], path)[0] == 200
    command = [sys.executable, "-m", "shared.cli.main", "status", "--home", str(system.home)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    roles = {each["role"] for each in json.loads(done.stdout)["processes"]}
    assert "bounces" in roles
    old = system.kill("bounces")
    system.wait_restarted("bounces", old)
    host, port = facts["bounces"].removeprefix("smtp://").split(":")
    with poll(lambda: _connected(host, int(port))) as client:
        assert client.noop()[0] == 250


def _connected(host: str, port: int) -> Any:
    try:
        return smtplib.SMTP(host, port)
    except OSError:
        return None


def test_a_stop_waits_for_the_transaction_and_sigterm_ends_it(system: System) -> None:
    port = int(system.facts()["bounces"].rpartition(":")[2])
    poll(lambda: _connected("127.0.0.1", port)).close()
    client = Client(port)
    client.envelope("postmaster")
    old = system.kill("bounces", 15)
    client.send(b"Subject: at the last moment\r\n\r\nhello\r\n.\r\n")
    assert client.reply().startswith("250")
    client.close()
    Client.opened.clear()
    system.wait_restarted("bounces", old)
    log = (system.home / "log" / "bounces-1.log").read_text()
    assert '"event":"bounces_stopped"' in log
    assert "last moment" not in log
    assert "late.test" not in log


def test_what_is_kept_is_listed_shown_and_dropped(system: System) -> None:
    port = int(system.facts()["bounces"].rpartition(":")[2])
    poll(lambda: _connected("127.0.0.1", port)).close()
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(
            "evil@x.test",
            [f"abuse@{DOMAIN}"],
            b"Subject: a\x1b[2Jb\r\n\r\n\x1b]0;x\x07\r\n",
        )

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["returns", *words, "--home", str(system.home)])
        found = 2 if isinstance(done.exception, ConfigError) else done.exit_code
        assert found == code, done.output
        return done.output

    rows = json.loads(run("list", "--json"))["data"]
    assert rows[0]["reason"] == "abuse"
    assert "\x1b" not in run("list")
    shown = run("show", rows[0]["id"])
    assert "\x1b" not in shown
    assert "Received: from " in shown
    assert "\x1b[2J" in run("show", rows[0]["id"], "--raw")
    assert json.loads(run("show", rows[0]["id"], "--json"))["to"] == f"abuse@{DOMAIN}"
    assert run("drop", rows[0]["id"]) == "dropped: 1\n"
    run("drop", rows[0]["id"], code=1)
    run("drop", code=2)
    run("show", "nothing", code=1)
    run("drop", "--all", code=0 if len(rows) > 1 else 1)
    run("list", code=1)


def test_a_key_that_is_not_ours_is_refused_at_rcpt(system: System) -> None:
    port = int(system.facts()["bounces"].rpartition(":")[2])
    with smtplib.SMTP("127.0.0.1", port) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("", [f"b-{'a' * 61}@{DOMAIN}"], dsn("nobody@late.test"))
        assert [code for code, _ in refused.value.recipients.values()] == [550]


def test_reload_takes_changed_settings_and_wrong_ones_change_nothing(system: System) -> None:
    port = int(system.facts()["bounces"].rpartition(":")[2])
    path = system.home / "posthaste.toml"
    before = path.read_text()

    def takes(address: str) -> bool:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo("there.test")
            client.mail("")
            return client.rcpt(f"{address}@{DOMAIN}")[0] == 250

    def log() -> str:
        return (system.home / "log" / "bounces-1.log").read_text()

    pid = system.pids("bounces")[0]
    path.write_text(before.replace("[bounces]", "[bounces]\ncomplaints = 'fbl'"))
    assert not takes("fbl")
    os.kill(pid, signal.SIGHUP)
    poll(lambda: takes("fbl"))
    assert not takes("complaints")
    path.write_text(before.replace('certificate_file = "', 'certificate_file = "/nowhere'))
    os.kill(pid, signal.SIGHUP)
    poll(lambda: "settings_not_reloaded" in log())
    assert takes("fbl")
    path.write_text(before)
    os.kill(pid, signal.SIGHUP)
    poll(lambda: takes("complaints"))
