"""Return paths of our own: one for each recipient, in a transaction of its own, and when not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.dkim import to_pem
from shared.feedback.tokens import Reference, Tokens, token_in
from tests.scenario.test_relays_reload import log, reload, started
from tests.support.dkim_keys import ed25519_key, verifies
from tests.support.smtp_server import Captured, SmtpServer
from tests.support.system import System, poll

SECRET = "k" * 32
TOKENS = Tokens([SECRET.encode()])
FEEDBACK = f'[feedback]\nkey = "{SECRET}"\n'
ROUTES = """
[[route]]
name = "partner"
relay = "relay"
recipient_domains = ["partner.test"]
verp = "off"
"""
BOUNCES = '[bounces]\ndomains = ["b.other.test", "b.shop.test"]\n'


class Place:
    """An installation with return paths of its own, and the server it sends to."""

    def __init__(self, system: System, server: SmtpServer, always: str) -> None:
        self.system = system
        self.server = server
        self.always = always

    def mail(self, identifier: str) -> list[Captured]:
        """The copies of a message that arrived."""
        name = identifier.removeprefix("msg_")
        return [each for each in self.server.answered() if name in each.header("Message-ID")]

    def reload(self, settings: str) -> None:
        """Other settings."""
        before = log(self.system).count("settings_reloaded")
        assert reload(self.system, self.always + settings).returncode == 0
        poll(lambda: log(self.system).count("settings_reloaded") > before)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    key: Path = tmp_path_factory.mktemp("key") / "e1.pem"
    key.write_bytes(to_pem(ed25519_key().private))
    with ExitStack() as stack:
        server = stack.enter_context(SmtpServer())
        always = (
            f'[[relay]]\nhost = "127.0.0.1"\nport = {server.port}\ntls = "none"\n{ROUTES}'
            f'[[dkim]]\ndomain = "shop.test"\nselector = "e1"\nkey_file = "{key}"\n'
        )
        system = stack.enter_context(started(server, always + FEEDBACK + BOUNCES))
        yield Place(system, server, always)


def reference(captured: Captured) -> Reference:
    """What the header of a copy says."""
    found = TOKENS.read(captured.header("X-Posthaste-Reference"))
    assert found is not None
    return found


def test_each_recipient_has_a_return_path_and_a_transaction(here: Place) -> None:
    people = ["Jane@example.test", "john@gmail.com"]
    identifier = here.system.send(to=people, bcc="hidden@example.test")
    here.system.wait_status(identifier, "delivered")
    copies = here.mail(identifier)
    assert sorted(each.recipients for each in copies) == [
        ["Jane@example.test"], ["hidden@example.test"], ["john@gmail.com"],
    ]  # fmt: skip
    for captured in copies:
        local, _, domain = captured.mail_from.partition("@")
        assert domain == "b.shop.test", "the one in the sender's domain"
        assert token_in(local) == captured.header("X-Posthaste-Reference")
        found = reference(captured)
        assert found.message_id.hex() == identifier.removeprefix("msg_")
        assert TOKENS.is_for(found, captured.recipients[0])
        assert TOKENS.application_of(found, ["shop", "default"]) == "default"
        site = "google" if "gmail" in captured.recipients[0] else "other"
        assert TOKENS.site_of(found, ["google", "yahoo"]) == site
        assert verifies(captured.data, ed25519_key()) == [True]
        assert captured.header("Feedback-ID") == ":app-default:transactional:shop.test"
        assert b"hidden" not in captured.data
    assert here.system.ledger(identifier) == ["accepted", "attempt", "attempt", "attempt"]
    here.system.reconcile()


def test_a_route_without_verp_sends_one_copy_to_all(here: Place) -> None:
    people = ["a@partner.test", "b@partner.test", "c@example.test"]
    identifier = here.system.send(to=people)
    here.system.wait_status(identifier, "delivered")
    by_from = {each.recipients[-1]: each for each in here.mail(identifier)}
    assert set(by_from) == {"b@partner.test", "c@example.test"}
    together = by_from["b@partner.test"]
    assert (together.mail_from, together.recipients) == ("orders@shop.test", people[:2])
    assert not reference(together).has_recipient
    assert by_from["c@example.test"].mail_from.startswith("b-")
    assert here.system.ledger(identifier) == ["accepted", "attempt", "attempt"]


def test_a_message_that_says_where_bounces_go_is_obeyed(here: Place) -> None:
    identifier = here.system.send(to=["a@b.test", "c@b.test"], return_path="returns@shop.test")
    here.system.wait_status(identifier, "delivered")
    (captured,) = here.mail(identifier)
    assert (captured.mail_from, len(captured.recipients)) == ("returns@shop.test", 2)
    assert not reference(captured).has_recipient
    assert here.system.ledger(identifier) == ["accepted", "attempt"]


def test_a_refusal_is_one_recipients_and_its_copy_alone_is_tried_again(here: Place) -> None:
    here.server.answers["RCPT full@example.test"] = ["452 4.2.2 mailbox full"]
    here.server.answers["RCPT gone@example.test"] = "550 5.1.1 nobody"
    people = ["a@example.test", "full@example.test", "gone@example.test"]
    identifier = here.system.send(to=people)
    wanted = ["delivered", "delivered", "bounced"]
    poll(lambda: [each["status"] for each in here.system.recipients(identifier)] == wanted)
    found = here.system.recipients(identifier)
    assert [one["attempt_count"] for one in found] == [1, 2, 1]
    assert sorted(each.recipients[0] for each in here.mail(identifier)) == people[:2]
    assert here.system.ledger(identifier) == ["accepted", *["attempt"] * 4]
    here.system.reconcile()


def test_150_recipients_are_150_transactions(here: Place) -> None:
    names = [f"r{number}@example.test" for number in range(150)]
    fields = {"to": names[:50], "cc": names[50:100], "bcc": names[100:]}
    identifier = here.system.send(**fields)
    here.system.wait_status(identifier, "delivered", 60)
    copies = here.mail(identifier)
    assert sorted(each.recipients[0] for each in copies) == sorted(names)
    assert {len(each.recipients) for each in copies} == {1}
    assert len({each.mail_from for each in copies}) == 150
    assert here.system.ledger(identifier).count("attempt") == 150
    here.system.reconcile()


def test_a_reload_changes_what_copies_have(here: Place) -> None:
    """Workers go by what holds when the mail goes, whatever web knew when it was accepted."""
    pids = here.system.pids("worker")
    try:
        here.reload("")
        identifier = here.system.send(to=["a@b.test", "c@b.test"])
        here.system.wait_status(identifier, "delivered")
        for captured in here.mail(identifier):
            assert captured.mail_from == "orders@shop.test"
            assert not captured.header("X-Posthaste-Reference")
            assert not captured.header("Feedback-ID")
        here.reload(FEEDBACK + '[bounces]\ndomains = ["news.shop.test"]\n')
        identifier = here.system.send(to=["a@b.test", "c@b.test"])
        here.system.wait_status(identifier, "delivered")
        assert len(here.mail(identifier)) == 2
        domains = {each.mail_from.partition("@")[2] for each in here.mail(identifier)}
        assert domains == {"news.shop.test"}
        assert here.system.pids("worker") == pids
        assert "settings_wait_for_restart" not in log(here.system)
    finally:
        here.reload(FEEDBACK + BOUNCES)


def test_no_copy_has_anything_of_another_ones_whatever_is_reloaded_meanwhile(
    here: Place, tmp_path: Path
) -> None:
    """Copies share what was rendered; keys change while they go, in both workers."""
    files = [tmp_path / "one", tmp_path / "two"]
    for path, letter in zip(files, "mk", strict=True):
        path.write_text(letter * 32)
    names = [f"r{number}@example.test" for number in range(100)]
    try:
        identifiers = []
        for new, old in (files, files[::-1]):
            sent = [{"to": names[:40], "cc": names[40:80], "bcc": names[80:]} for _ in range(2)]
            identifiers += [here.system.send(**fields) for fields in sent]
            here.reload(f'[feedback]\nkey_file = "{new}"\nprevious_key_file = "{old}"\n{BOUNCES}')
        for identifier in identifiers:
            here.system.wait_status(identifier, "delivered", 60)
        tokens = Tokens([b"m" * 32, SECRET.encode()])
        for identifier in identifiers:
            copies = here.mail(identifier)
            assert sorted(each.recipients for each in copies) == sorted([name] for name in names)
            for captured in copies:
                found = {each.decode() for each in re.findall(rb"[a-z2-7]{61}", captured.data)}
                (token,) = found | {token_in(captured.mail_from.partition("@")[0])}
                read = tokens.read(token or "")
                assert read is not None
                assert read.message_id.hex() == identifier.removeprefix("msg_")
                assert tokens.is_for(read, captured.recipients[0])
                assert verifies(captured.data, ed25519_key()) == [True]
    finally:
        here.reload(FEEDBACK + BOUNCES)


def test_a_domain_that_is_none_changes_nothing(here: Place) -> None:
    found = reload(here.system, here.always + FEEDBACK + '[bounces]\ndomains = ["localhost"]\n')
    assert found.returncode == 2
    assert "bounces.domains" in found.stderr
    identifier = here.system.send()
    here.system.wait_status(identifier, "delivered")
    assert here.mail(identifier)[0].mail_from.endswith("@b.shop.test")
    assert here.system.ledger(identifier) == ["accepted", "attempt"]
