"""One chaos run: start, load and faults side by side, calm, then the accounts."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from tests.chaos import evidence
from tests.chaos.accounts import Books, Kill, Sent, Verdict, duplicates_of, judge
from tests.chaos.ask import Asker
from tests.chaos.bounces_faults import BouncesFaults
from tests.chaos.came_back import SUPPRESSED, Back, in_words
from tests.chaos.copies import Copy
from tests.chaos.faults import Faults, Relays
from tests.chaos.fleet import Fleet
from tests.chaos.listing import Listing, on_the_list
from tests.chaos.load import Load
from tests.chaos.mail import Mail, make
from tests.chaos.places import RECORDS, TTL_SECONDS, settings
from tests.chaos.schedule import BOUNCES, DELIVERY, INGEST, WORLD, Step, plan
from tests.chaos.store import Store, open_recipients
from tests.chaos.store_faults import StoreFaults
from tests.chaos.web_faults import WebFaults
from tests.chaos.witness import Witness
from tests.chaos.worker_faults import WorkerFaults
from tests.chaos.world_faults import WorldFaults
from tests.support.dns_server import DnsServer
from tests.support.installation import installation

FOLDER = Path(__file__).parents[2] / "build" / "chaos"
WORKERS, WEB = 3, 2
FLIGHT_SECONDS = 3.0
"""How long a fault waits at most for mail to be on its way."""
INGEST_PAUSE_SECONDS = 3.0
BOUNCES_PAUSE_SECONDS = 5.0
WORLD_PAUSE_SECONDS = 1.5
ALL_USED = 2000
"""With so many messages there is mail for every door, the pool's second included."""
SETTLE_SECONDS = 120.0
"""The end may take so long, and a second more for every `MESSAGES_A_SECOND`."""
MESSAGES_A_SECOND = 50


class Say(Protocol):
    """Prints a line; one with details only when they are wanted."""

    def __call__(self, text: str, detail: bool = False) -> None:
        """Print it."""
        ...


class Run:
    """One run, with its parts."""

    def __init__(self, messages: int, seed: int, say: Say) -> None:
        self._messages = messages
        self._seed = seed
        self._say = say
        self._began = time.monotonic()
        self._broken: list[str] = []
        self._over = threading.Event()

    def run(self) -> Verdict:
        """Everything; the verdict."""
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        with (
            Witness(self._seed, FOLDER / "copies.jsonl") as witness,
            DnsServer(RECORDS) as dns,
            installation(
                "--workers", str(WORKERS), "--web", str(WEB),
                settings=settings(witness.doors, dns.port, False),
            ) as up,
        ):  # fmt: skip
            dns.ttls = dict.fromkeys(RECORDS, TTL_SECONDS)
            self._witness, self._dns, self._up = witness, dns, up
            self._store = Store(up["redis"])
            try:
                return self._judged()
            finally:
                self._store.close()
                shutil.copytree(up["home"] / "log", FOLDER / "log")

    def _make(self, number: int) -> Mail:
        return make(number, self._seed)

    def _judged(self) -> Verdict:
        up = self._up
        self._load = Load(up["http"], up["key"], self._messages, self._make, self._seed)
        self._witness.send_back(_place(up["bounces"]), _place(up["http"]))
        self._asker = Asker(up["http"], up["key"])
        self._listing = Listing(self._asker, self._messages, self._make, self._seed)
        self._listing.before()
        fleet = Fleet(up["home"], self._seed)
        self._faults = self._all_faults(fleet)
        try:
            self._disturb()
        finally:
            fleet.thaw()
        self._witness.calm()
        self._load.finish(SETTLE_SECONDS + self._messages / MESSAGES_A_SECOND)
        self._listed.join(SETTLE_SECONDS)
        self._wait_settled()
        books = self._gather()
        self._tell(books)
        verdict = judge(books, time.monotonic() - self._began)
        self._write(books.kills, books.copies, verdict)
        return verdict

    def _all_faults(self, fleet: Fleet) -> Faults:
        witness, store = self._witness, self._store
        relays = Relays(
            fleet.home, lambda swapped: settings(witness.doors, self._dns.port, swapped)
        )
        return Faults(
            {
                **WorkerFaults(fleet, witness, store).faults(),
                **StoreFaults(fleet, witness, store).faults(),
                **WebFaults(fleet).faults(),
                **BouncesFaults(fleet).faults(),
                **WorldFaults(witness, self._dns, self._over, self._seed).faults(),
                **relays.faults(),
            },
            store,
        )

    # -- faults -----------------------------------------------------------------------------

    def _disturb(self) -> None:
        """The load, with faults of delivery and, beside them, of the other roles and the world."""
        steps = plan(DELIVERY, self._messages, self._seed)
        quota = -(-self._messages // len(steps))
        self._load.start()
        self._listed = self._listing.start(self._load.taken)
        beside = [
            threading.Thread(target=self._guarded, args=(what,))
            for what in (
                lambda: self._disturb_beside(INGEST, INGEST_PAUSE_SECONDS),
                lambda: self._disturb_beside(BOUNCES, BOUNCES_PAUSE_SECONDS),
                lambda: self._disturb_beside(WORLD, WORLD_PAUSE_SECONDS),
            )
        ]
        for thread in beside:
            thread.start()
        self._guarded(lambda: self._disturb_delivery(steps, quota))
        self._over.set()
        for thread in beside:
            thread.join()

    def _guarded(self, what: Callable[[], None]) -> None:
        """A fault that cannot be done is an oddity: the accounts are still made."""
        try:
            what()
        except Exception as error:
            self._broken.append(f"the run broke: {type(error).__name__}: {error}")

    def _disturb_delivery(self, steps: list[Step], quota: int) -> None:
        for step in steps:
            before = self._witness.count()
            self._load.allow(quota - quota // 3)
            deadline = time.monotonic() + FLIGHT_SECONDS
            while time.monotonic() < deadline:
                if self._witness.count() - before > quota // 10:
                    break
                time.sleep(0.02)
            self._faults.do(step, lambda: self._load.allow(quota // 3))

    def _disturb_beside(self, steps: tuple[Step, ...], pause_seconds: float) -> None:
        for step in plan(steps, self._messages, self._seed):
            if self._over.wait(pause_seconds):
                return
            self._faults.do(step, lambda: None)

    # -- the end ----------------------------------------------------------------------------

    def _wait_settled(self) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS + self._messages / MESSAGES_A_SECOND
        while left := open_recipients(self._store.depth()) + self._witness.sending_back():
            if time.monotonic() > deadline:
                back = self._witness.sending_back()
                self._broken.append(f"not settled: {self._store.depth()} ({left}, back {back})")
                return
            time.sleep(0.1)

    def _gather(self) -> Books:
        up, receipts = self._up, self._load.receipts
        sent = {}
        for number in sorted(receipts):
            mail, receipt = self._make(number), receipts[number]
            sent[number] = Sent(
                receipt.id, receipt.message_id, mail.message_class, mail.recipients,
                mail.list, self._load.began[number], receipt.suppressed,
            )  # fmt: skip
        in_metrics, reconciliation = evidence.metrics(up["exporter"])
        unused = self._witness.doors.keys() - self._witness.summary()["doors"].keys()
        if unused and self._messages >= ALL_USED:
            self._broken.append(f"no mail came by {', '.join(sorted(unused))}")
        stored = evidence.stored(self._store, sent)
        if self._messages >= ALL_USED and not _suppressed(sent, stored)[1]:
            self._broken.append("the list stood in nobody's way at an attempt")
        return Books(
            sent=sent,
            unanswered=[each for each in range(self._messages) if each not in receipts],
            copies=self._witness.copies(),
            kills=sorted(self._faults.ledger, key=lambda kill: kill.began),
            stored=stored,
            shown=evidence.shown(up["http"], up["key"], sent),
            in_store=evidence.counts(self._store.depth()),
            in_metrics=in_metrics,
            reconciliation=reconciliation,
            oddities=[
                *self._broken, *self._load.oddities, *self._listing.oddities,
                *self._witness.summary()["oddities"],
            ],
            back=Back(
                self._witness.sent_back(), self._listing.listed, on_the_list(self._asker),
                self._store.outcomes(),
            ),
        )  # fmt: skip

    def _tell(self, books: Books) -> None:
        """What was done, in a few lines."""
        done = Counter(f"{kill.target} {kill.action}" for kill in books.kills)
        faults = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
        self._say(f"faults: {len(books.kills)}: {faults}")
        recipients = sum(len(each.recipients) for each in books.sent.values())
        moods = self._witness.summary()["moods"]
        refused = sum(count for mood, count in moods.items() if not mood.endswith(" ok"))
        self._say(
            f"recipients {recipients}, copies {len(books.copies)}, faults of the receiver"
            f" {refused}, requests repeated {self._load.repeats}"
        )
        self._say(in_words(books.back, *_suppressed(books.sent, books.stored)))
        doors = self._witness.summary()["doors"]
        self._say("by door: " + ", ".join(f"{name} {doors[name]}" for name in sorted(doors)))

    def _write(self, kills: Sequence[Kill], copies: Sequence[Copy], verdict: Verdict) -> None:
        """The ledger and the verdict, for who wants to understand a red run."""
        doubled = duplicates_of(kills, copies)
        with (FOLDER / "ledger.jsonl").open("wb") as file:
            for kill, count in zip(kills, doubled, strict=True):
                line: dict[str, Any] = {**msgspec.to_builtins(kill), "doubled": count}
                file.write(json.dumps(line).encode() + b"\n")
                self._say(
                    f"{kill.began:7.1f} s {kill.target:<18} {kill.action:<8}"
                    f" {kill.seconds:5.1f} s  leased {kill.leased:>4}"
                    f"  in flight {len(kill.in_flight):>4}  doubled {count:>4}  {kill.note}",
                    detail=True,
                )
        (FOLDER / "verdict.json").write_bytes(msgspec.json.encode(verdict))


def _suppressed(
    sent: Mapping[int, Sent], stored: Mapping[int, Mapping[str, str]]
) -> tuple[int, int]:
    """How many recipients were suppressed when accepted, and how many at an attempt."""
    all_of_them = sum(
        status == SUPPRESSED for statuses in stored.values() for status in statuses.values()
    )
    accepted = sum(len(each.suppressed) for each in sent.values())
    return accepted, all_of_them - accepted


def _place(url: str) -> tuple[str, int]:
    """The host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
