"""An installation as it is on some morning: an hour of mail in every state, and people who use it.

Takes a running installation (`tests.support.browser.System`) that nobody has used yet. The mail is
written straight to its store, as accept, attempts and settlements over that hour would have left
it, so that every time and every reply is there. Names end in .test or .example.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from shared.accounts.actor import CLI, Actor, Client
from shared.accounts.people import People
from shared.accounts.user import Role, User
from shared.accounts.users import new_id
from shared.clock import SystemClock
from shared.ids import message_id_header
from shared.model.leg import Attempt, Leg, LegFlag, LegState, RecipientReply
from shared.model.message import CLASSES, Address, Content, Head, MessageClass, Recipient
from shared.model.status import Status
from shared.store.samples import Figures, Sample
from shared.store.scripts import PREFIX
from tests.support.browser import System
from tests.support.filling import Made, uuid7, write

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SPREAD = 290
"""Messages that are nothing special; those of `_SPECIAL` come to it."""
PEOPLE: tuple[tuple[str, Role, str], ...] = (
    ("Oona Operator", "operator", "oona"), ("Otis Operator", "operator", "otis"),
    ("Dana Developer", "developer", "dana"), ("Lars Left", "developer", "lars"),
    ("Remy Reader", "reader", "remy"),
)  # fmt: skip
EU, US = "relay-eu", "relay-us"
LAKE, HARBOUR, MEADOW = "mx:mx.lake.example", "mx:mx1.harbour.example", "mx:mail.meadow.example"
RELAYS = (EU, US)
Ways = tuple[str, MessageClass, str, str]
_MAIL: tuple[Ways, ...] = (
    ("shop", "transactional", "Your order {n} is on its way", "orders@shop.test"),
    ("shop", "transactional", "Thank you for your order {n}", "orders@shop.test"),
    ("billing", "transactional", "Invoice 2026-{n}", "billing@shop.test"),
    ("billing", "transactional", "Receipt for payment {n}", "billing@shop.test"),
    ("accounts", "critical", "Your sign-in code", "accounts@shop.test"),
    ("accounts", "critical", "Choose a new password", "accounts@shop.test"),
    ("newsletter", "bulk", "Spring at the shop: 12 ideas for small gardens", "news@shop.test"),
    ("alerts", "critical", "Disk of db-{n} is 90 percent full", "alerts@shop.test"),
    ("support", "transactional", "Re: your question {n}", "support@shop.test"),
)
_DOMAINS = ("lake.example", "harbour.example", "meadow.example", "hill.example", "brook.example")
_NAMES = ("ann", "bela", "cleo", "dov", "edda", "finn", "gus", "hana", "ivo", "jun", "kit", "lena")
_TAKEN = (250, "2.0.0", "Ok: queued as 4Xw2Qk1Zt")
_FULL = (452, "4.2.2", "The mailbox is over its quota, try again later")
_GREY = (450, "4.7.1", "Greylisted, please try again in 300 seconds")
_BUSY = (421, "4.7.0", "Too many messages from 192.0.2.10, slow down")
_NOBODY = (550, "5.1.1", "No such user here")
_Reply = tuple[int, str, str]
CONTENT = Content(
    text="Hello Ann,\n\nyour order 4711 left our warehouse this morning.\n\nYour shop",
    html='<h1 style="font:600 22px sans-serif">Your order is on its way</h1>'
    '<p style="font:15px/1.6 sans-serif">Hello Ann,<br>your order <b>4711</b> left our warehouse'
    " this morning and should be with you on Thursday.</p>"
    '<table style="font:15px sans-serif;border-collapse:collapse" cellpadding="8">'
    "<tr><td>2 &times; Garden chair, oak</td><td align=right>178.00</td></tr>"
    "<tr><td>1 &times; Watering can, 5 l</td><td align=right>24.50</td></tr>"
    '<tr style="border-top:1px solid #ccc"><td><b>Total</b></td><td align=right><b>202.50</b></td>'
    '</tr></table><p style="font:15px/1.6 sans-serif">'
    '<a href="https://shop.test/orders/4711">Where is it now?</a></p>',
    headers=(("X-Order", "4711"),),
)


def _attempt(at_ms: int, hop: str, *told: tuple[Status, _Reply | None], note: str = "") -> Attempt:
    replies = tuple(
        RecipientReply(index, status.letter, *(reply or (0, "", "")))
        for index, (status, reply) in enumerate(told)
    )
    return Attempt(at_ms, hop, replies, note)


class _Story(msgspec.Struct, frozen=True):
    """One message: who it is to, and what came of each attempt, in minutes before now."""

    mail: Ways
    recipients: tuple[str, ...]
    hop: str
    statuses: tuple[Status, ...]
    accepted: float
    attempts: tuple[tuple[float, tuple[_Reply | None, ...], str], ...] = ()
    due: float = 30.0
    hold: bool = False
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


D, B, F, S = Status.DELIVERED, Status.BOUNCED, Status.DEFERRED, Status.SCHEDULED
U, L, C, X, P = (
    Status.UNCERTAIN, Status.DEAD, Status.CANCELLED, Status.EXPIRED, Status.SUPPRESSED,
)  # fmt: skip
_ORDER: Ways = ("shop", "transactional", "Your order 4711 is on its way", "orders@shop.test")
_CRASHED = "the worker ended in the middle of the delivery"
_LOST = "the connection was lost after the message was sent"
_SPECIAL = (
    _Story(_ORDER, ("ann@lake.example",), LAKE, (F,), 52,
           ((51.9, (_GREY,), ""), (46, (_GREY,), ""), (31, (_FULL,), ""), (9, (_BUSY,), "")),
           due=21, tags=("orders", "parcel"), metadata={"order": "4711", "shop": "garden"}),
    _Story(("billing", "transactional", "Invoice 2026-3108", "billing@shop.test"),
           ("finn@harbour.example", "gone@harbour.example", "accounts@harbour.example"), HARBOUR,
           (D, B, D), 1.1, ((1, (_TAKEN, _NOBODY, _TAKEN), ""),)),
    _Story(("shop", "transactional", "Thank you for your order 4712", "orders@shop.test"),
           ("hana@meadow.example",), MEADOW, (D,), 41,
           ((40.9, (_GREY,), ""), (35, (_GREY,), ""), (20, (_TAKEN,), "")), tags=("orders",)),
    _Story(("newsletter", "bulk", "Spring at the shop: 12 ideas for small gardens",
            "news@shop.test"), ("left@brook.example",), US, (P,), 0.7),
    _Story(("support", "transactional", "Re: your question 812", "support@shop.test"),
           ("edda@hill.example",), EU, (C,), 1.7),
    _Story(("alerts", "critical", "Disk of db-7 is 90 percent full", "alerts@shop.test"),
           ("night@shop.example",), EU, (X,), 58, ((57, (_BUSY,), ""), (44, (_BUSY,), ""))),
    _Story(("newsletter", "bulk", "On Monday: seeds at half price", "news@shop.test"),
           ("kit@meadow.example", "lena@meadow.example"), US, (S, S), 2, due=2300),
    *(_Story(("newsletter", "bulk", "Spring at the shop: 12 ideas for small gardens",
              "news@shop.test"), (f"{name}@brook.example",), US, (F,), 30 + number,
             ((12 + number, (_BUSY,), ""),), due=40 + 3 * number)
      for number, name in enumerate(_NAMES)),
    *(_Story(("billing", "transactional", f"Invoice 2026-{3200 + number}", "billing@shop.test"),
             (f"{name}@lake.example",), LAKE, (L,), 38 - number,
             ((33 - number, (None,), _CRASHED),))
      for number, name in enumerate(_NAMES[:5])),
    *(_Story(("shop", "transactional", f"Your order {4650 + number} is on its way",
              "orders@shop.test"), (f"{name}@harbour.example",), HARBOUR, (U,), 25 - number,
             ((24 - number, (None,), _LOST),), hold=True)
      for number, name in enumerate(_NAMES[3:6])),
)  # fmt: skip


def _made(story: _Story, now_ms: int) -> Made:
    application, message_class, subject, sender = story.mail
    at_ms = now_ms - int(story.accepted * MINUTE_MS)
    identifier = uuid7(at_ms)
    history = tuple(
        _attempt(now_ms - int(ago * MINUTE_MS), story.hop,
                 *((_became(status, reply), reply)
                   for status, reply in zip(story.statuses, replies, strict=True)),
                 note=note)
        for ago, replies, note in story.attempts
    )  # fmt: skip
    due_ms = now_ms + int(story.due * MINUTE_MS)
    scheduled = Status.SCHEDULED in story.statuses
    head = Head(
        application, message_class, message_id_header(identifier, "shop.test"),
        Address(sender, {"shop": "The Garden Shop"}.get(application, application.title())), sender,
        tuple(Recipient("cc" if index else "to", each)
              for index, each in enumerate(story.recipients)),
        subject, at_ms, send_at_ms=due_ms if scheduled else None, give_up_ms=at_ms + 5 * DAY_MS,
        on_uncertain="hold" if story.hold else "resend", tags=story.tags, metadata=story.metadata,
        content_bytes=1840, request_id=f"{at_ms:032x}",
    )  # fmt: skip
    state = _state(story.statuses)
    leg = Leg(
        state, message_class, story.hop, story.statuses, give_up_ms=head.give_up_ms, fence=2,
        attempts=len(history), application=application, history=history[-5:],
        due_ms=due_ms if state is LegState.WAITING else 0,
        flags=LegFlag.HOLD if story.hold else LegFlag(0),
    )  # fmt: skip
    return Made(identifier, head, leg, history[-1].at_ms if history else at_ms)


def _became(status: Status, reply: _Reply | None) -> Status:
    if reply is None:
        return status
    first = reply[0] // 100
    return {2: Status.DELIVERED, 4: Status.DEFERRED}.get(first, Status.BOUNCED)


def _state(statuses: Sequence[Status]) -> LegState:
    if {Status.DEFERRED, Status.SCHEDULED}.intersection(statuses):
        return LegState.WAITING
    states = {Status.DEAD: LegState.DEAD, Status.UNCERTAIN: LegState.HELD}
    return states.get(statuses[0], LegState.FINAL)


def _spread(rng: random.Random) -> list[_Story]:
    found = []
    for number in range(SPREAD):
        application, message_class, subject, sender = rng.choices(
            _MAIL, (6, 5, 4, 3, 4, 2, 5, 1, 2)
        )[0]
        mail = (application, message_class, subject.format(n=4100 + 3 * number), sender)
        who = f"{rng.choice(_NAMES)}@{rng.choice(_DOMAINS)}"
        hop = rng.choices((EU, US, LAKE, HARBOUR, MEADOW), (8, 4, 4, 3, 3))[0]
        status = rng.choices((D, B, F), (90, 5, 5))[0]
        reply = {D: _TAKEN, B: _NOBODY, F: _GREY}[status]
        accepted = 70 - 69.5 * number / SPREAD
        tried = max(0.1, accepted - rng.random() / 4)
        due = rng.uniform(8, 50)
        found.append(_Story(mail, (who,), hop, (status,), accepted, ((tried, (reply,), ""),), due))
    return found


def _history(world: System, now_ms: int) -> None:
    """An hour of samples, and the counters of a minute later: far more mail than is still kept."""
    rng, running = random.Random(8), [Counter[str]() for _ in CLASSES]
    samples = []
    first = now_ms // MINUTE_MS * MINUTE_MS - HOUR_MS
    for minute in range(62):
        classes = []
        wave = 1 + 0.28 * math.sin(minute / 9) + (0.5 if 34 <= minute < 41 else 0)
        for index, (rate, waits) in enumerate(((90, 4), (610, 9), (240, 15))):
            new = int(rate * wave * rng.uniform(0.9, 1.1))
            late = int(new * (0.11 if 34 <= minute < 44 else 0.02) * rng.uniform(0.7, 1.3))
            bounced = int(new * 0.012 * rng.uniform(0.4, 1.8))
            gone = {"suppressed": int(new * 0.004), "expired": int(index == 2 and minute % 17 == 0)}
            running[index].update(
                accepted=new, bounced=bounced, deferrals=late, **gone,
                delivered=new - bounced - sum(gone.values()),
            )  # fmt: skip
            swell = max(0, minute - 33) * 9 if minute < 44 else max(0, 99 - 9 * (minute - 44))
            classes.append(Figures(
                **running[index], ready=int(rng.uniform(2, 9) * (1 + index)),
                deferred=waits + swell * index * (index + 1) // 2,
                in_flight=int(6 * rate / 90 * wave) + index,
                oldest_ready_ms=int(rng.uniform(40, 900)),
            ))  # fmt: skip
        one, two, three = classes
        samples.append(Sample(first + minute * MINUTE_MS, (one, two, three)))
    _write_history(world, samples, running)


def _write_history(world: System, samples: list[Sample], running: list[Counter[str]]) -> None:
    letters = {"delivered": "d", "bounced": "b", "expired": "x", "suppressed": "p"}
    client = redis.Redis.from_url(world.facts["redis"], socket_timeout=10)
    steps = client.pipeline()
    steps.delete(f"{PREFIX}samples")
    steps.rpush(
        f"{PREFIX}samples", *(b"\x01" + msgspec.msgpack.encode(each) for each in samples[:-1])
    )
    for index, numbers in enumerate(running):
        fields = {f"a:{index}": numbers["accepted"]}
        fields |= {f"s:{index}:{letter}": numbers[name] for name, letter in letters.items()}
        fields[f"t:{index}:f:greylisted"] = numbers["deferrals"]
        for field, number in fields.items():
            steps.hincrby(f"{PREFIX}counters", field, number)
    steps.execute()
    client.close()


def command(world: System, *words: str) -> None:
    """Run `posthaste` on this installation."""
    subprocess.run(
        [sys.executable, "-m", "shared.cli.main", *words, "--home", str(world.facts["home"])],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def fill(world: System, now_ms: int) -> None:
    """All but the people: mail, its history, and what operators have done about it."""
    _history(world, now_ms)
    stories = sorted((*_spread(random.Random(4)), *_SPECIAL), key=lambda each: -each.accepted)
    write(world.facts["redis"], [_made(each, now_ms) for each in stories], CONTENT)
    command(
        world, "suspend", US, "--for", "2h", "--reason", "Its operator moves it to another host"
    )
    command(world, "limit", "set", HARBOUR, "--per-minute", "120", "--connections", "4", "--for",
            "1d", "--reason", "Their postmaster asked for less")  # fmt: skip
    for application, more in (
        ("shop", ("--from", "shop.test")), ("billing", ("--from", "shop.test")),
        ("accounts", ("--class", "critical")), ("newsletter", ("--class", "bulk")),
        ("on-call", ("--scope", "operate")),
    ):  # fmt: skip
        command(world, "key", "create", "--app", application, *more)
    command(world, "suppression", "add", "left@brook.example", "--all")


def user(world: System, name: str, role: Role, login: str, hashed: str = "") -> User:
    """A new user, at shop.test; `hashed`: the password, if there is one."""
    now_ms = SystemClock().now_ms()
    found = User(
        new_id(), f"{login}@shop.test", name, role, now_ms - 40 * DAY_MS, password=hashed,
        password_alone=True, password_ms=now_ms - 40 * DAY_MS, seen_ms=now_ms - HOUR_MS,
        second_factor="email" if role == "operator" else "none",
    )  # fmt: skip
    assert world.users.add(found)
    return found


def people(world: System, owner: User) -> list[User]:
    """Who works here, what they did, and who is invited."""
    hashed = world.accounts.passwords.hash("seven grey herons at dusk")
    found = [user(world, *each, hashed) for each in PEOPLE]
    asking = People(world.accounts)
    asking.invite(Actor(owner.id, owner.login), "nils@shop.test", "Nils Newcomer", "reader")
    asking.disable(Actor(owner.id, owner.login), found[-2].id)
    oona, otis, dana, *_ = (
        Actor(each.id, each.login, Client(f"192.0.2.{20 + index}"))
        for index, each in enumerate(found)
    )
    did: list[tuple[Actor, str, str, dict[str, Any]]] = [
        (CLI, "key.created", "key_5t0q", {"application": "newsletter"}),
        (oona, "destination.suspend", US, {"seconds": "7200"}),
        (dana, "key.created", "key_8x1c", {"application": "shop"}),
        (oona, "limit.set", HARBOUR, {"per_minute": "120", "connections": "4"}),
        (otis, "sign_in.done", otis.who, {}),
        (otis, "destination.flush", EU, {"messages": "12"}),
    ]
    for actor, act, what, details in did:
        world.records.write([], [actor.audited(act, what, **details)])
    return found
