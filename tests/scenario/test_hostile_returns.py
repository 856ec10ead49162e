"""B39: what the server for bounces stands, which faces the internet: slow, endless, smuggled, much.

The sessions are real ones; what is stored of their mail is in memory.
"""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.clock import ManualClock
from shared.errors import StoreUnavailable
from shared.feedback.tokens import return_path
from shared.feedback_settings import BounceSettings
from tests.support.certificates import Authority
from tests.support.returns import (
    DOMAIN,
    SETTINGS,
    TOKENS,
    Client,
    Running,
    reception,
    serving,
    until,
)
from tests.support.stores import MemoryTestStore, settings

MB = 1024 * 1024


class Taker:
    """A reception that keeps what it is given."""

    def __init__(self) -> None:
        store = MemoryTestStore(settings(), ManualClock())
        self._reception = reception(store)
        self.store = store
        self.mailboxes = self._reception.mailboxes
        self.mail: list[bytes] = []
        self.envelopes: list[Any] = []
        self.broken = False
        self.hold = threading.Event()
        self.hold.set()

    def take(self, envelope: Any, message: bytes) -> Any:
        self.hold.wait(10)
        if self.broken:
            raise StoreUnavailable("away")
        self.mail.append(message)
        self.envelopes.append(envelope)
        return self._reception.take(envelope, message)

    def path(self, **options: Any) -> str:
        """A return path of a message that was accepted now."""
        identifier = self.store.accept(**options)
        token = TOKENS.reference(identifier, "app", "bulk", "other", "r0@example.test")
        return return_path(token, DOMAIN)


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def running(taker: Taker) -> Iterator[Running]:
    with serving(taker) as found:
        yield found


def test_mail_is_taken_for_our_addresses_and_nobody_elses(taker: Taker, running: Running) -> None:
    path = taker.path()
    with smtplib.SMTP("127.0.0.1", running.port) as client:
        client.ehlo("there.test")
        assert client.esmtp_features.keys() == {
            "pipelining", "size", "8bitmime", "smtputf8", "enhancedstatuscodes",
        }  # fmt: skip
        for address, code in (
            (path, 250), (path.upper(), 250), (path.swapcase(), 250),
            (f"complaints@{DOMAIN}", 250), (f"Postmaster@{DOMAIN}", 250), ("postmaster", 250),
            (f"ABUSE@{DOMAIN}.", 250), (f'"abuse"@{DOMAIN}', 250),
            (f"x@{DOMAIN}", 550), ("postmaster@elsewhere.test", 550), ("abuse", 550),
            (path.replace(DOMAIN, "elsewhere.test"), 550), (f"b-@{DOMAIN}", 550),
            (path.replace("b-", "c-"), 550), (f"b-{'a' * 61}@{DOMAIN}", 550),
            (path.replace("k", "\N{KELVIN SIGN}").replace("b-", "b-\N{KELVIN SIGN}"), 550),
        ):  # fmt: skip
            client.mail("")
            client.send(f"RCPT TO:<{address}>\r\n".encode())
            assert client.getreply()[0] == code, address
            client.rset()
        taker.store.clock.advance(60 * 86_400 + 1)
        client.mail("")
        assert client.rcpt(path)[0] == 550  # It counts for 60 days.
    assert running.server._metrics.refused == {"unknown": 6, "bad_token": 2, "expired": 1}


@pytest.fixture
def patient(taker: Taker) -> Iterator[Client]:
    """A client whose errors are not counted."""
    with serving(taker, errors=100) as found:
        yield Client(found.port)


def test_every_reply_to_a_whole_dialogue(taker: Taker, patient: Client) -> None:
    path, client = taker.path(), patient
    for line, wanted in (
        ("MAIL FROM:<>", "503"), ("RCPT TO:<a@b.test>", "503"), ("DATA", "503"), ("EHLO", "501"),
        ("HELO there", "250"), ("vrfy root", "252"), ("EXPN staff", "500"), ("AUTH PLAIN", "500"),
        ("STARTTLS", "503"), ("BDAT 5 LAST", "500"), ("NOOP", "250"), ("HELP", "214"), ("", "500"),
        ("MAIL FROM:<> SIZE=10485761", "552"), ("MAIL FROM:<> SIZE=x", "501"),
        ("MAIL FROM:<> RET=HDRS", "555"), ("MAIL FROM:<> BODY=BINARYMIME", "501"),
        ("MAIL FROM:<a", "501"), ("MAIL <>", "501"), ("MAIL FROM:<\u00e4@b.test>", "553"),
        ("MAIL FROM:<\u00e4@b.test> SMTPUTF8 BODY=8BITMIME SIZE=5", "250"), ("MAIL FROM:<>", "503"),
        ("DATA", "554"), ("RCPT TO:<>", "501"), (f"RCPT TO:<{path}> NOTIFY=NEVER", "555"),
        (f"rcpt to: <@relay.test,@b.test:{path}>", "250"), ("RSET", "250"), ("DATA", "503"),
        ("mail from:<>", "250"), (f"RCPT TO:<{path}>", "250"), ("DATA now", "501"), ("DATA", "354"),
        ("\r\nhello\r\n.", "250"), ("QUIT", "221"),
    ):  # fmt: skip
        answer = client.ask(line)
        assert answer.startswith(wanted), (line, answer)
        assert answer[3:4] == " "
    assert client.reply() == ""
    assert taker.mail == [b"\r\nhello\r\n"]


def test_after_too_many_errors_and_recipients_it_is_enough(taker: Taker) -> None:
    with serving(taker, errors=3) as running:
        client = Client(running.port)
        assert client.ask("EHLO there") == "250 ENHANCEDSTATUSCODES"
        client.ask("MAIL FROM:<>")
        for _ in range(3):
            assert client.ask(f"RCPT TO:<guess@{DOMAIN}>").startswith("550 5.1.1")
        assert client.reply().startswith("421")
    with serving(taker) as running:
        client = Client(running.port)
        client.ask("EHLO there")
        client.ask("MAIL FROM:<>")
        answers = [client.ask("RCPT TO:<postmaster>")[:3] for _ in range(11)]
        assert answers == ["250"] * 10 + ["452"]


def test_all_at_once_is_answered_in_order(taker: Taker, running: Running) -> None:
    """PIPELINING, with the next transaction behind the first one's dot."""
    client = Client(running.port)
    one = b"MAIL FROM:<>\r\nRCPT TO:<nobody@x.test>\r\nRCPT TO:<postmaster>\r\nDATA\r\n"
    client.send(b"EHLO there\r\n" + (one + b"..dot\r\n.\r\n") * 3 + b"QUIT\r\n")
    codes = [client.reply()[:3] for _ in range(1 + 5 * 3 + 1)]
    assert codes == ["250", *["250", "550", "250", "354", "250"] * 3, "221"]
    assert taker.mail == [b".dot\r\n"] * 3
    assert running.call(lambda: running.server.room._left) == 80 * MB


@pytest.mark.parametrize(
    "false_end",
    [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"],
)
def test_smuggling_only_crlf_dot_crlf_ends_a_message(
    taker: Taker, running: Running, false_end: bytes
) -> None:
    client = Client(running.port)
    client.envelope("postmaster")
    hidden = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<abuse@%b>\r\nDATA\r\n" % DOMAIN.encode()
    client.send(b"one" + false_end + hidden + b"two\r\n.\r\n")
    assert client.reply().startswith("250 2.0.0")
    assert client.ask("NOOP").startswith("250")  # Nothing else was answered in between.
    assert len(taker.mail) == 1
    assert b"RCPT TO" in taker.mail[0]


def test_a_message_that_comes_byte_by_byte_is_the_same(taker: Taker, running: Running) -> None:
    client = Client(running.port)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.envelope("postmaster")
    for byte in b".\r..\r\n..x\r\n\r\n..\r\n.\n.\r\n.\r\n":
        client.send(bytes((byte,)))
    assert client.reply().startswith("250")
    assert taker.mail == [b"\r..\r\n.x\r\n\r\n.\r\n\n.\r\n"]


@pytest.mark.parametrize(("size", "wanted"), [(0, "250"), (10 * MB, "250"), (10 * MB + 1, "552")])
def test_a_message_has_ten_megabytes(
    taker: Taker, running: Running, size: int, wanted: str
) -> None:
    client = Client(running.port)
    client.envelope("postmaster")
    body = (b"x" * 998 + b"\r\n") * (size // 1000 + 1)
    client.send((body[: size - 2] + b"\r\n" if size else b"") + b".\r\n")
    assert client.reply().startswith(wanted)
    assert [len(each) for each in taker.mail] == ([size] if wanted == "250" else [])
    assert client.ask("NOOP").startswith("250")
    assert running.call(lambda: running.server.room._left) == 80 * MB


def test_a_message_without_end_is_read_no_further_than_four_times_its_size(taker: Taker) -> None:
    bounces = msgspec.structs.replace(SETTINGS.bounces, max_message_bytes=MB)
    with serving(taker, bounces) as running:
        client = Client(running.port)
        client.envelope("postmaster")
        flood = b"y" * 64 * MB
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.send(flood)
        assert taker.mail == []
        until(lambda: running.call(lambda: running.server.room._left) == 8 * MB)


def test_memory_is_shared_and_comes_back(taker: Taker) -> None:
    bounces = msgspec.structs.replace(SETTINGS.bounces, max_message_bytes=MB)
    with serving(taker, bounces) as running:
        clients = [Client(running.port) for _ in range(10)]
        for each in clients:
            each.envelope("postmaster")
            each.send(b"z" * (MB - 10))
        until(lambda: running.call(lambda: running.server.room._left) < MB)
        for each in clients:
            each.send(b"\r\n.\r\n")
        codes = sorted(each.reply()[:3] for each in clients)
        assert set(codes) == {"250", "452"}
        assert codes.count("250") == 8
        until(lambda: running.call(lambda: running.server.room._left) == 8 * MB)
        clients[0].envelope("postmaster")
        clients[0].send(b"z\r\n.\r\n")
        assert clients[0].reply().startswith("250")


def test_larger_messages_after_a_reload_have_room(taker: Taker) -> None:
    bounces = msgspec.structs.replace(SETTINGS.bounces, max_message_bytes=1000)
    with serving(taker, bounces) as running:
        larger = msgspec.structs.replace(bounces, max_message_bytes=20_000)
        running.call(lambda: running.server.apply(larger, running.server.reception))
        client = Client(running.port)
        client.envelope("postmaster")
        client.send(b"z" * 15_000 + b"\r\n.\r\n")
        assert client.reply().startswith("250")
        until(lambda: running.call(lambda: running.server.room._left) == 160_000)


def test_an_endless_line_ends_the_session(taker: Taker, running: Running) -> None:
    client = Client(running.port)
    client.send(b"EHLO " + b"x" * 3000)
    assert client.reply()[:3] in ("421", "")


@pytest.mark.parametrize("sent", [b"", b"EHL", b"EHLO there\r\nMAIL FROM:<>\r\n"])
def test_a_silent_client_is_sent_away(taker: Taker, sent: bytes) -> None:
    with serving(taker, command=0.2) as running:
        client = Client(running.port)
        client.send(sent)
        started = time.monotonic()
        codes = []
        while reply := client.reply():
            codes.append(reply[:3])
        assert codes[-1] == "421"
        assert time.monotonic() - started < 5


def test_a_client_that_drips_has_its_time_for_the_whole_message(taker: Taker) -> None:
    with serving(taker, silence=5.0, message=0.3) as running:
        client = Client(running.port)
        client.envelope("postmaster")
        told = threading.Thread(target=lambda: replies.append(client.reply()))
        replies: list[str] = []
        told.start()
        started = time.monotonic()
        while told.is_alive() and time.monotonic() - started < 5:
            with suppress(ConnectionError):
                client.send(b"x\r\n")
            told.join(0.02)
        assert replies[0][:3] in ("421", "")
        assert taker.mail == []


def test_places_are_bounded_and_told(taker: Taker) -> None:
    """1,000 sessions at once: those without a place hear 421, the others work."""
    bounces = BounceSettings(domains=(DOMAIN,), max_sessions=20, max_sessions_per_address=1000)
    with serving(taker, bounces) as running:
        clients = [Client(running.port, greeted=False) for _ in range(1000)]
        codes = [each.reply()[:3] for each in clients]
        assert codes.count("220") == 20
        assert codes.count("421") == 980
        assert running.server._metrics.sessions_refused == 980
        one = clients[codes.index("220")]
        one.envelope("postmaster")
        one.send(b"x\r\n.\r\n")
        assert one.reply().startswith("250")
        for each in clients:
            each.close()
        until(lambda: running.server._metrics.sessions == 0)
        assert Client(running.port).ask("NOOP").startswith("250")


def test_one_address_has_a_part_of_the_places(taker: Taker) -> None:
    bounces = BounceSettings(domains=(DOMAIN,), max_sessions_per_address=3)
    with serving(taker, bounces) as running:
        held = [Client(running.port) for _ in range(3)]
        assert Client(running.port, greeted=False).reply().startswith("421 4.3.2")
        held.pop().close()
        until(lambda: running.server._metrics.sessions == 2)
        Client(running.port)


def test_who_waits_longest_ends_for_a_new_one(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.returns.server.LEAST_WAIT_SECONDS", 0.05)
    bounces = BounceSettings(domains=(DOMAIN,), max_sessions=2)
    with serving(taker, bounces, hurried=60.0) as running:
        busy, idle = Client(running.port), Client(running.port)
        busy.envelope("postmaster")
        idle.ask("NOOP")
        time.sleep(0.1)
        third = Client(running.port)
        assert idle.reply().startswith("421")
        assert idle.reply() == ""
        assert third.ask("NOOP").startswith("250")
        busy.send(b"x\r\n.\r\n")
        assert busy.reply().startswith("250")


def test_no_more_are_let_in_than_are_sent_away(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has to go goes for one, also when many come before he has gone."""
    monkeypatch.setattr("workers.returns.server.LEAST_WAIT_SECONDS", 0.0)
    bounces = BounceSettings(domains=(DOMAIN,), max_sessions=2)
    with serving(taker, bounces, hurried=60.0) as running:
        idle, begun = Client(running.port), Client(running.port)
        assert idle.ask("NOOP").startswith("250")
        for line in ("EHLO there.test", "MAIL FROM:<>"):
            assert begun.ask(line).startswith("250")
        server = running.server
        until(lambda: all(each.waiting_since is not None for each in server._sessions))
        assert running.call(lambda: [server._has_room() for _ in range(4)]) == [
            True,
            True,
            False,
            False,
        ]
        assert (idle.reply()[:3], begun.reply()[:3]) == ("421", "421")


def test_a_transaction_does_not_last_for_good(taker: Taker) -> None:
    with serving(taker, whole=0.1, message=0.1) as running:
        client = Client(running.port)
        client.ask("EHLO there.test")
        client.ask("MAIL FROM:<>")
        until(lambda: client.ask("NOOP").startswith("421"))


def test_what_cannot_be_stored_is_to_come_again(taker: Taker, running: Running) -> None:
    client = Client(running.port)
    taker.broken = True
    client.envelope("postmaster")
    client.send(b"x\r\n.\r\n")
    assert client.reply().startswith("451 4.3.0")
    taker.broken = False
    client.envelope("postmaster")
    client.send(b"x\r\n.\r\n")
    assert client.reply().startswith("250")
    assert running.server._metrics.store_errors == 1


def test_a_stop_lets_transactions_end(taker: Taker, running: Running) -> None:
    idle, busy = Client(running.port), Client(running.port)
    busy.envelope("postmaster")
    idle.ask("NOOP")
    stopping = threading.Thread(target=running.stop, args=(10,))
    stopping.start()
    assert idle.reply().startswith("421")
    busy.send(b"x\r\n.\r\n")
    assert busy.reply().startswith("250")
    assert busy.reply()[:3] in ("421", "")
    stopping.join(10)
    assert not stopping.is_alive()
    with pytest.raises(OSError):  # noqa: PT011
        Client(running.port)


def test_starttls_takes_nothing_that_was_sent_before_it(taker: Taker, tmp_path: Path) -> None:
    chain, key = Authority(tmp_path).files("mx.shop.test")
    bounces = BounceSettings(domains=(DOMAIN,), certificate_file=chain, key_file=key)
    with serving(taker, bounces) as running:
        with smtplib.SMTP("127.0.0.1", running.port) as client:
            client.ehlo("there.test")
            assert "starttls" in client.esmtp_features
            client.starttls()
            assert client.mail("")[0] == 503  # RFC 3207 section 4.2: what was said is forgotten.
            client.ehlo("there.test")
            assert "starttls" not in client.esmtp_features
            assert client.sendmail("", ["postmaster"], b"x" * 300_000 + b"\r\n") == {}
        assert taker.envelopes[0].encrypted
        injecting = Client(running.port)
        injecting.send(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<injected@b.test>\r\n")
        assert injecting.reply().startswith("250")
        assert injecting.reply() == ""


def test_a_certificate_that_changes_is_used(
    taker: Taker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.returns.certificate.LOOK_SECONDS", 0.0)
    authority = Authority(tmp_path)
    chain, key = authority.files("mx.shop.test")
    bounces = BounceSettings(domains=(DOMAIN,), certificate_file=chain, key_file=key)
    with serving(taker, bounces) as running:

        def seen() -> bytes | None:
            with smtplib.SMTP("127.0.0.1", running.port) as client:
                client.starttls()
                assert isinstance(client.sock, socket.socket)
                found: bytes | None = client.sock.getpeercert(True)  # type: ignore[attr-defined]
                return found

        first = seen()
        authority.files("mx.shop.test")  # Another one, in the same files.
        second = seen()
        assert second != first
        Path(key).write_text("broken")
        assert seen() == second
