"""What a destination keeps of a refusal: the server's words without anybody's address."""

from __future__ import annotations

import pytest

from shared.clock import ManualClock, SystemClock
from shared.model.message import Content
from tests.support.stores import settings
from tests.unit.workers.test_pipeline import OK, Hops, Server, System, to
from workers.pipeline import Pipeline
from workers.sign import Dkim
from workers.smtp import Envelope, Reply, Stage, Transaction
from workers.smtp.types import Lease


class Refusing(Server):
    """A server that gives each recipient its own answer."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__()
        self._replies = replies

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        indices = [index for index, _ in envelope.recipients]
        replies = dict(zip(indices, self._replies, strict=False))
        taken = any(reply.code == 250 for reply in replies.values())
        return Transaction(Stage.MESSAGE, OK, replies, OK if taken else None, dot_sent=taken)


def kept(*replies: Reply, people: int = 1, server: Server | None = None) -> str:
    """What the destination tells after one attempt."""
    system = System()
    system.pipeline = Pipeline(
        settings(), system.store.queue(), ManualClock(), Hops(server or Refusing(*replies)),
        Dkim({"shop.test": system.keys}, SystemClock()),
    )  # fmt: skip
    system.accept(to(*(f"jane.roe{at}@b.test" for at in range(people))), Content("x"))
    system.work()
    (row,) = system.store.operations.destinations()
    return row.refusal.text if row.refusal is not None else ""


@pytest.mark.parametrize(("code", "enhanced"), [(450, "4.2.0"), (550, "5.1.1"), (452, "")])
def test_the_words_are_kept_and_nobody_is_named(code: int, enhanced: str) -> None:
    text = "<jane.roe0@b.test>: no jane.roe0 here, ask root@b.test " + "x" * 300
    found = kept(Reply(code, enhanced, text))
    assert found.startswith(" ".join(filter(None, (str(code), enhanced, "<"))))
    assert "here, ask" in found
    assert "jane" not in found
    assert "root" not in found
    assert len(found) < 150


class Stopping(Server):
    """A server whose transactions all come to this."""

    def __init__(self, told: Transaction) -> None:
        super().__init__()
        self._told = told

    async def send(
        self, envelope: Envelope, message: bytes, lease: Lease, *, urgent: bool = False
    ) -> Transaction:
        """One transaction."""
        return self._told


FULL = Reply(421, "4.7.0", "too many connections for jane.roe0, ask root@b.test")
GONE = Reply(554, "5.7.1", "jane.roe0: relaying denied")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Transaction(Stage.BANNER, trouble="refused", trouble_reply=FULL), "421 4.7.0 too many"),
        (Transaction(Stage.MAIL, FULL), "421 4.7.0 too many"),
        (Transaction(Stage.RCPT, OK, {0: FULL}), "421 4.7.0 too many"),
        (Transaction(Stage.RCPT, OK, {0: GONE}), "554 5.7.1"),
        (Transaction(Stage.BANNER, trouble="refused", trouble_reply=GONE), "554 5.7.1"),
        (Transaction(Stage.CONNECT, trouble="connection refused"), ""),
    ],
)
def test_what_stops_a_destination_is_told_in_its_words(told: Transaction, words: str) -> None:
    found = kept(server=Stopping(told))
    assert found.startswith(words)
    assert bool(found) == bool(words)
    assert "jane" not in found
    assert "root" not in found


def test_a_delivery_keeps_nothing_and_a_part_keeps_its_refusal() -> None:
    assert kept(OK) == ""
    assert kept(OK, Reply(550, "5.1.1", "unknown"), people=2) == "550 5.1.1 unknown"
