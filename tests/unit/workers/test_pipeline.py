"""The stages joined: against a store, and a server that offers what a test says."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from shared.clock import ManualClock, SystemClock
from shared.model.leg import Leg, LegState, RecipientReply
from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.model.status import BY_LETTER
from shared.outgoing import outgoing_from
from shared.parting import rerouted
from shared.render import needs_smtputf8, parts
from shared.routing import Routes
from shared.settings import Settings
from shared.store.ports import Accepted
from tests.support.dkim_keys import ed25519_key, rsa_key, verifies
from tests.support.smtp_client import Held
from tests.support.stores import MemoryTestStore, settings
from workers import copies
from workers.pipeline import SLOW_HTML_BYTES, Pipeline
from workers.references import References
from workers.route import NextHop
from workers.sign import Dkim
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.commands import prepare
from workers.smtp.gate import NO_SESSION
from workers.smtp.types import Delivery, Lease

OK = Reply(250, "2.0.0", "ok")
EIGHT_BIT = Attachment("m.eml", "message/rfc822", b"Subject: a\r\n\r\nhell\xc3\xb6\r\n")


class Server:
    """A transport that takes whatever its EHLO keywords allow."""

    def __init__(self, *offered: str) -> None:
        self.offered = dict.fromkeys(offered, "")
        self.taken: list[tuple[Envelope, bytes]] = []
        self.asked = 0

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        self.asked += 1
        delivery = Delivery(envelope, message, lease, urgent, asyncio.get_running_loop())
        answer = prepare(delivery, self.offered, "off")
        if answer is not None:
            return answer
        self.taken.append((envelope, message))
        replies = {index: OK for index, _ in envelope.recipients}
        return Transaction(Stage.MESSAGE, OK, replies, OK, dot_sent=True)


class Crowded(Server):
    """One to which no session is to be had, twice."""

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction, or none."""
        if self.asked < 2:
            self.asked += 1
            return Transaction(Stage.CONNECT, trouble=NO_SESSION)
        return await super().send(envelope, message, lease, urgent=urgent)


class Hops:
    """One next hop."""

    default = "relay"

    def __init__(self, server: Server) -> None:
        self._hop = NextHop(server)

    def find(self, hop: str) -> NextHop | None:
        """The next hop."""
        return self._hop if hop == "relay" else None

    def reroute(self, leg: Leg, head: Head) -> tuple[Leg, ...]:
        """To the first relay."""
        return rerouted(leg, head, Routes(Settings()))


class System:
    """A store, a pipeline, and a server."""

    def __init__(self, *offered: str, server: Server | None = None) -> None:
        self.server = server or Server(*offered)
        clock = ManualClock()
        self.store = MemoryTestStore(settings(), clock)
        self.keys = (rsa_key(), ed25519_key())
        signer = Dkim({"shop.test": self.keys}, SystemClock())
        self.pipeline = Pipeline(
            settings(), self.store.queue(), clock, Hops(self.server), signer
        )  # fmt: skip

    def accept(self, people: list[Recipient], content: Content, **fields: Any) -> bytes:
        """Accept a message; its id."""
        submission = self.store.submission(recipients=len(people))
        values = {"sender": Address("orders@shop.test"), "return_path": "orders@shop.test"} | fields
        head = msgspec.structs.replace(
            submission.message.head, recipients=tuple(people), **values
        )  # fmt: skip
        message = msgspec.structs.replace(submission.message, head=head, content=content)
        (answer,) = self.store.spool.accept([msgspec.structs.replace(submission, message=message)])
        assert isinstance(answer, Accepted)
        return answer.message_id

    def work(self) -> None:
        """Deliver whatever may go, until nothing may."""
        lease: Any = Held()
        while legs := self.store.claim().legs:
            for each in legs:
                self.store.settle(asyncio.run(self.pipeline.deliver(each, lease)))

    def replies(self, message_id: bytes) -> list[tuple[str, int, str]]:
        """What the attempts came to: address, code, enhanced code."""
        stored = self.store.spool.get(message_id)
        assert stored is not None
        replies: list[RecipientReply] = [
            reply
            for leg in stored.legs
            for attempt in leg.all_attempts()
            for reply in attempt.replies
        ]
        return sorted(
            (stored.head.recipients[reply.recipient].email, reply.code, reply.enhanced)
            for reply in replies
        )


def to(*emails: str) -> list[Recipient]:
    return [Recipient("to", email) for email in emails]


def test_a_non_ascii_reply_to_needs_smtputf8() -> None:
    content = Content("x", reply_to=(Address("jörg@b.test"),))
    system = System("SMTPUTF8", "8BITMIME")
    identifier = system.accept(to("a@b.test"), content)
    system.work()
    ((envelope, message),) = system.server.taken
    assert envelope.smtputf8
    assert "Reply-To: jörg@b.test".encode() in message
    assert verifies(message, *system.keys) == [True, True]
    assert system.store.statuses(identifier) == ["delivered"]
    for offered in ((), ("8BITMIME",)):
        system = System(*offered)
        identifier = system.accept(to("a@b.test"), content)
        system.work()
        assert system.replies(identifier) == [("a@b.test", 553, "5.6.7")]
        assert not system.server.taken


@pytest.mark.parametrize(
    ("person", "content"),
    [
        (Recipient("to", "jörg@b.test"), Content("x")),
        (Recipient("to", "a@b.test"), Content("x", reply_to=(Address("jörg@b.test"),))),
    ],
)
def test_headers_without_a_7_bit_form_bounce_where_8_bit_lines_cannot_go(
    person: Recipient, content: Content
) -> None:
    """A server with SMTPUTF8 and without the 8BITMIME that comes with it (RFC 6531)."""
    system = System("SMTPUTF8")
    identifier = system.accept([person], content)
    system.work()
    assert system.replies(identifier) == [(person.email, 554, "5.6.3")]
    assert system.store.statuses(identifier) == ["bounced"]
    assert system.server.asked == 2
    system.store.reconcile()


MIXED = [*to("a@b.test"), Recipient("bcc", "jörg@b.test"), Recipient("bcc", "c@b.test")]


def test_a_non_ascii_bcc_costs_nobody_else_the_message() -> None:
    system = System("8BITMIME")
    identifier = system.accept(MIXED, Content("x"))
    system.work()
    assert system.store.statuses(identifier) == ["delivered", "bounced", "delivered"]
    assert system.replies(identifier) == [
        ("a@b.test", 250, "2.0.0"), ("c@b.test", 250, "2.0.0"), ("jörg@b.test", 553, "5.6.7"),
    ]  # fmt: skip
    ((envelope, message),) = system.server.taken
    assert not envelope.smtputf8
    assert message.isascii()
    assert system.store.ledger().count("attempt") == 2
    system.store.reconcile()


def test_a_non_ascii_bcc_is_delivered_where_it_can_be() -> None:
    system = System("8BITMIME", "SMTPUTF8")
    identifier = system.accept(MIXED, Content("x"))
    system.work()
    assert system.store.statuses(identifier) == ["delivered"] * 3
    assert sorted(
        (envelope.smtputf8, [email for _, email in envelope.recipients])
        for envelope, _ in system.server.taken
    ) == [(False, ["a@b.test", "c@b.test"]), (True, ["jörg@b.test"])]


def test_what_shows_decides_for_all() -> None:
    system = System("8BITMIME")
    identifier = system.accept(
        [*to("a@b.test"), Recipient("cc", "jörg@b.test"), Recipient("bcc", "ü@b.test")],
        Content("x"),
    )
    system.work()
    assert {code for _, _, code in system.replies(identifier)} == {"5.6.7"}
    assert system.store.ledger().count("attempt") == 1, "there was nothing to split"


def head(recipients: list[Recipient], **fields: Any) -> Head:
    values: dict[str, Any] = {
        "application": "app", "message_class": "bulk", "message_id": "<1@a.test>",
        "sender": Address("a@a.test"), "return_path": "a@a.test", "subject": "x", "accepted_ms": 0,
        **fields,
    }  # fmt: skip
    return Head(recipients=tuple(recipients), **values)


def test_who_needs_smtputf8() -> None:
    plain, empty = to("a@b.test"), Content()
    assert not needs_smtputf8(head(plain), empty, (0,))
    assert needs_smtputf8(head(plain, sender=Address("ü@a.test")), empty, (0,))
    assert needs_smtputf8(head(plain, return_path="ü@a.test"), empty, (0,))
    assert needs_smtputf8(head(plain), Content(reply_to=(Address("ü@a.test"),)), (0,))
    both = [*plain, *to("ü@b.test")]
    assert needs_smtputf8(head(both), empty, (0,)), "it stands in To, whoever gets this copy"
    blind = [*plain, Recipient("bcc", "ü@b.test")]
    assert not needs_smtputf8(head(blind), empty, (0,))
    assert needs_smtputf8(head(blind), empty, (1,))
    assert needs_smtputf8(head(blind), empty, (0, 1))


def test_a_leg_is_split_by_what_its_open_recipients_need() -> None:
    found = parts(_leg("qqq"), head(MIXED), Content())
    assert [each.recipients for each in found] == [(0, 2), (1,)]
    found = parts(_leg("dqq"), head(MIXED), Content())
    assert [(each.recipients, "".join(one.letter for one in each.statuses)) for each in found] == [
        ((0, 2), "dq"), ((1,), "q"),
    ]  # fmt: skip
    assert parts(_leg("qdq"), head(MIXED), Content()) == ()
    assert parts(_leg("dqd"), head(MIXED), Content()) == ()
    assert parts(_leg("qqq"), head(MIXED, return_path="ü@a.test"), Content()) == ()
    assert parts(_leg("qqq"), head(to("a@b.test", "b@b.test", "c@b.test")), Content()) == ()


def test_a_leg_whose_copies_differ_is_split_before_anything_is_sent() -> None:
    """One that was accepted before return paths were ours."""
    values = {"feedback": {"key": "k" * 32}, "bounces": {"domains": ["b.shop.test"]}}
    system = System()
    system.pipeline.references = References(outgoing_from(msgspec.convert(values, Settings)))
    identifier = system.accept(to("a@b.test", "b@b.test", "c@b.test"), Content("x"))
    system.work()
    assert system.store.statuses(identifier) == ["delivered"] * 3
    sent = [(envelope.mail_from, envelope.recipients) for envelope, _ in system.server.taken]
    assert sorted(recipients for _, recipients in sent) == [
        ((0, "a@b.test"),), ((1, "b@b.test"),), ((2, "c@b.test"),),
    ]  # fmt: skip
    assert len({path for path, _ in sent}) == 3
    for (path, _), (_, message) in zip(sent, system.server.taken, strict=True):
        token = path.removeprefix("b-").removesuffix("@b.shop.test")
        assert f"X-Posthaste-Reference: {token}\r\n".encode() in message
        assert verifies(message, *system.keys) == [True, True]
    assert system.store.ledger() == ["accepted", "rerouted", *["attempt"] * 3]
    system.store.reconcile()


def _leg(letters: str) -> Leg:
    statuses = tuple(BY_LETTER[letter] for letter in letters)
    return Leg(LegState.LEASED, "bulk", "relay", statuses)


def test_b5_the_7_bit_form_is_signed_as_it_goes_out() -> None:
    system = System("SIZE")
    identifier = system.accept(to("a@b.test"), Content("x", attachments=(EIGHT_BIT,)))
    system.work()
    assert system.store.statuses(identifier) == ["delivered"]
    ((envelope, message),) = system.server.taken
    assert message.isascii()
    assert not envelope.eight_bit
    assert message.count(b"DKIM-Signature:") == 2
    assert verifies(message, *system.keys) == [True, True]


@pytest.mark.parametrize(
    ("content", "beside"),
    [
        (Content(html="<p>" + "x" * (SLOW_HTML_BYTES + 1)), True),
        (Content(html="<p>x"), False),
        (Content("x", "<p>" + "x" * (SLOW_HTML_BYTES + 1)), False),
    ],
)
def test_html_of_any_size_to_speak_of_is_read_beside_the_loop(
    content: Content, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def render(*arguments: Any, **options: Any) -> bytes:
        threads.append(threading.current_thread() is not threading.main_thread())
        return b"Subject: x\r\n\r\nx\r\n"

    monkeypatch.setattr(copies, "render", render)
    system = System()
    system.accept(to("a@b.test"), content)
    system.work()
    assert threads == [beside]


def test_who_gets_no_session_is_given_back_uncharged() -> None:
    system = System(server=Crowded())
    mail = system.accept([Recipient("to", "a@b.test")], Content("hello"))
    system.work()
    assert system.server.asked == 3
    stored = system.store.spool.get(mail)
    assert stored is not None
    assert stored.legs[0].attempts == 1
    assert [each.note for each in stored.legs[0].history] == [""]
    assert system.store.ledger() == ["accepted", "attempt"]
    depth = system.store.spool.depth()
    assert depth.counters.get("relay_troubles", 0) == depth.troubled_hops == 0
