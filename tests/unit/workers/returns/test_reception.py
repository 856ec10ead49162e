"""What becomes of reports: who is believed, about whom, and what is kept (B39)."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from shared.clock import ManualClock
from shared.feedback.tokens import Tokens, return_path
from shared.model.returned import CameBack
from shared.model.status import Status
from shared.model.suppression import Suppression
from shared.store.ports import Settlement, Stored, Verb
from shared.store.returns import Came, News
from tests.support.returns import DOMAIN, SETTINGS, TOKENS, reception
from tests.support.stores import MemoryTestStore, settings
from workers.returns.match import Reason
from workers.returns.reception import Reception, Taken
from workers.returns.recipients import Mailbox
from workers.returns.report import Report, Told
from workers.returns.session import Envelope

DAY = 86_400
OTHERS_KEY = Tokens((b"o" * 32,))
GONE = Told("r0@example.test", action="failed", status="5.1.1", code=550,
            diagnostic="no such user <r0@example.test>, r0 has left")  # fmt: skip


class House:
    """A store with one delivered message for two recipients, each with a copy of his own."""

    def __init__(self) -> None:
        self.store = MemoryTestStore(settings(), ManualClock())
        self.id = self.deliver(recipients=2)
        self.told: list[News] = []
        self.reception: Reception = reception(self.store)
        inner = self.store.returns.news

        def tell(news: News) -> Came:
            self.told.append(news)
            return inner(news)

        self.store.returns.news = tell  # type: ignore[method-assign]

    def deliver(self, **options: Any) -> bytes:
        identifier = self.store.accept(**options)
        claimed = self.store.claim().legs
        self.store.settle(
            *(
                Settlement(each.leg_id, each.fence, Verb.SETTLE,
                           (Status.DELIVERED,) * len(each.leg.statuses), 1, event=b"\x80")
                for each in claimed
            )
        )  # fmt: skip
        return identifier

    def token(self, address: str | None = "r0@example.test", **changed: Any) -> str:
        given = {"identifier": self.id, "application": "app", "tokens": TOKENS, **changed}
        return str(
            given["tokens"].reference(
                given["identifier"], given["application"], "transactional", "google", address
            )
        )

    def take(self, report: Report, *to: str, sender: str = "", content: bytes = b"") -> Taken:
        """Take a report that came to return paths of these tokens, or to other addresses."""
        addresses = [each if "@" in each else return_path(each, DOMAIN) for each in to]
        boxes = [self.reception.mailboxes.find(each) for each in addresses]
        assert all(isinstance(each, Mailbox) for each in boxes), boxes
        envelope = Envelope(sender, "there.test", "192.0.2.1", False, addresses, boxes)  # type: ignore[arg-type]
        return self.reception.apply(envelope, content, report)

    def suppressed(self) -> list[Suppression]:
        return [entry for each in self.told for entry in each.suppressions]

    def statuses(self) -> list[str]:
        return self.store.statuses(self.id)


@pytest.fixture
def house() -> House:
    return House()


def failed(*told: Told, **fields: Any) -> Report:
    return Report("dsn", told or (GONE,), **fields)


def test_a_bounce_at_its_return_path_is_of_that_recipient(house: House) -> None:
    taken = house.take(failed(), house.token())
    assert (taken.kind, taken.outcome, taken.message_ids) == ("dsn", "changed", (house.id,))
    assert house.statuses() == ["bounced", "delivered"]
    (entry,) = house.suppressed()
    assert (entry.address, entry.application, entry.list) == ("r0@example.test", "app", "")
    assert (entry.reason, entry.source, entry.expires_ms) == ("bounce", "dsn", None)
    assert entry.detail == "550 5.1.1 mailbox_unknown"
    stored = house.store.spool.get(house.id)
    assert stored is not None
    attempt = stored.legs[0].history[-1]
    (reply,) = attempt.replies
    assert (attempt.hop, attempt.note, attempt.charged) == ("dsn", "bounced after delivery", False)
    assert (reply.recipient, reply.status, reply.code, reply.enhanced) == (0, "b", 550, "5.1.1")
    assert reply.text == "no such user <[address]>, r0 has left"
    event = msgspec.msgpack.decode(house.told[0].event, type=CameBack)
    assert event == CameBack(
        "dsn", "app", "transactional", "google", 0, "r0@example.test", 550, "5.1.1", reply.text,
        "mailbox_unknown", "", True,
    )  # fmt: skip
    assert house.store.ledger()[-2:] == ["suppressed", "bounced"]


def test_the_same_news_counts_once_wherever_it_comes(house: House) -> None:
    assert house.take(failed(), house.token()).outcome == "changed"
    again = failed(references=(house.token(),))
    assert house.take(again, f"postmaster@{DOMAIN}").outcome == "repeated"
    assert house.take(failed(), house.token()).outcome == "repeated"
    assert house.store.ledger().count("bounced") == 1


def test_b39_a_co_recipient_can_only_harm_himself(house: House) -> None:
    """He has a valid token: his own. Whoever his report names, it is about him, or about nobody."""
    mine = house.token("r1@example.test")
    forged = failed(msgspec.structs.replace(GONE, final_recipient="r0@example.test"))
    assert house.take(forged, mine).outcome == "changed"
    assert house.statuses() == ["delivered", "bounced"]
    assert house.suppressed() == []  # It is not his own address that is said to be dead.
    both = failed(GONE, msgspec.structs.replace(GONE, final_recipient="r1@example.test"),
                  references=(mine,))  # fmt: skip
    house.take(both, f"abuse@{DOMAIN}")
    assert house.statuses() == ["delivered", "bounced"]
    assert {each.mark for each in house.told} == {TOKENS.read(mine).mark}  # type: ignore[union-attr]


def test_b39_a_copy_for_several_tells_nothing_about_one(house: House) -> None:
    taken = house.take(failed(), house.token(None))
    assert (taken.outcome, taken.reason) == ("kept", "several_recipients")
    assert house.statuses() == ["delivered", "delivered"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda house: house.token(tokens=OTHERS_KEY), "bad_token"),
        (lambda house: house.token()[:-2] + "aa", "bad_token"),
        (lambda house: house.token()[:30], "bad_token"),
        (lambda house: "", "bad_token"),
        (lambda house: house.token(identifier=bytes(6) + house.id[6:]), "expired"),
    ],
)
@pytest.mark.parametrize("kind", ["dsn", "complaint"])
@pytest.mark.parametrize("place", ["references", "return_paths"])
def test_b39_what_we_have_not_signed_or_too_long_ago_counts_for_nobody(
    house: House, make: Any, reason: str, kind: Any, place: str
) -> None:
    token = make(house)
    value = token if place == "references" else f"b-{token}"
    report = msgspec.structs.replace(failed(**{place: (value,)}), kind=kind)
    taken = house.take(report, f"complaints@{DOMAIN}")
    assert (taken.outcome, taken.reason) == ("kept", reason)
    assert house.told == []


def test_b39_without_any_token_nothing_counts(house: House) -> None:
    for kind in ("dsn", "complaint"):
        report = Report(kind, (GONE,), candidates=("r0@example.test",))
        taken = house.take(report, f"complaints@{DOMAIN}")
        assert (taken.outcome, taken.reason) == ("kept", "no_token")


def test_b39_another_applications_token_is_about_that_one(house: House) -> None:
    """The message's record says whose it is, not the tag; with the record gone it is the tag."""
    house.take(failed(), house.token(application="shop"))
    assert [each.application for each in house.suppressed()] == ["app"]
    gone = house.token(identifier=house.id[:6] + bytes(10), application="shop")
    house.take(failed(), gone)
    assert [each.application for each in house.suppressed()] == ["app", "shop"]
    nobodys = house.token(identifier=house.id[:6] + bytes(9) + b"1", application="gone")
    assert house.take(failed(), nobodys).reason == "unknown_application"


def test_a_reference_in_the_original_is_as_good_as_a_return_path(house: House) -> None:
    report = failed(references=("rubbish", house.token()))
    assert house.take(report, f"complaints@{DOMAIN}").outcome == "changed"
    assert house.statuses() == ["bounced", "delivered"]
    paths = failed(return_paths=(f"B-{house.token('r1@example.test').upper()}",))
    assert house.take(paths, f"postmaster@{DOMAIN}").outcome == "changed"
    assert house.statuses() == ["bounced", "bounced"]


def test_where_it_came_to_goes_before_what_it_returns(house: House) -> None:
    report = failed(references=(house.token("r1@example.test"),))
    house.take(report, house.token())
    assert house.statuses() == ["bounced", "delivered"]


def test_two_recipients_who_differ_in_case_alone_bounce_each_by_himself(house: House) -> None:
    """They have the same mark; the report has the address as it was written to."""
    inner = house.store.spool.get

    def stored(identifier: bytes) -> Stored | None:
        found = inner(identifier)
        assert found is not None
        first = found.head.recipients[0]
        twins = (first, msgspec.structs.replace(first, email="R0@example.test"))
        head = msgspec.structs.replace(found.head, recipients=twins)
        return msgspec.structs.replace(found, head=head)

    house.reception = reception(house.store, stored=stored)
    upper = msgspec.structs.replace(GONE, final_recipient="R0@example.test")
    assert house.take(failed(upper), house.token()).outcome == "changed"
    assert house.statuses() == ["delivered", "bounced"]
    assert house.take(failed(), house.token()).outcome == "changed"
    assert house.statuses() == ["bounced", "bounced"]
    assert house.take(failed(), house.token()).outcome == "repeated"


def test_the_record_is_gone(house: House) -> None:
    """The address is one of the report's that the mark says it is; the text may name others."""
    gone = house.token(identifier=house.id[:6] + bytes(10))
    report = failed(
        Told("other@example.test", action="failed", status="5.1.1"),
        candidates=("x@example.test", "R0@Example.Test"),
    )
    assert house.take(report, gone).outcome == "noted"
    (news,) = house.told
    assert (news.recipient, news.attempt, news.site) == (None, None, "google")
    assert house.suppressed() == []  # `other` is dead, who is not who was written to.
    mine = house.token("R0@example.test", identifier=house.id[:6] + bytes(9) + b"1")
    house.take(failed(), mine)
    (entry,) = house.suppressed()
    assert entry.address == "r0@example.test"
    unnamed = house.token("nobody@x.test", identifier=house.id[:6] + bytes(9) + b"2")
    assert house.take(failed(), unnamed).outcome == "noted"
    assert len(house.suppressed()) == 1


@pytest.mark.parametrize(
    ("told", "changed", "suppressed"),
    [
        # Rewritten within the site: the mailbox itself.
        (Told("R0@EXAMPLE.test", action="failed", status="5.1.1"), True, True),
        (Told("r0@mail.example.test", action="failed", status="5.1.1"), True, True),
        (Told("", "r0@example.test", action="failed", status="5.1.1"), True, True),
        (Told(action="failed", status="5.1.1"), True, True),
        # Forwarded, or a member of an alias: somebody else's address is dead.
        (Told("member@other.test", action="failed", status="5.1.1"), True, False),
        (Told("r0@other.test", action="failed", status="5.1.1"), True, False),
        (Told("r0@anexample.test", action="failed", status="5.1.1"), True, False),
        (Told("r0@test", action="failed", status="5.1.1"), True, False),
        (Told("r0+old@example.test", action="failed", status="5.1.1"), True, False),
        (
            Told("member@other.test", "r0@example.test", action="failed", status="5.1.1"),
            True,
            False,
        ),
        # It says why: not a dead address, or not for good.
        (Told("r0@example.test", action="failed", status="5.2.2"), True, False),
        (Told("r0@example.test", action="failed", status="4.4.7"), True, False),
        (Told("r0@example.test", action="failed", status="5.1.1", code=450), True, False),
        (Told("r0@example.test", action="failed", status="4.1.1", code=550), True, False),
        (Told("r0@example.test", status="5.1.1"), True, True),
        # Nothing has failed.
        (Told("r0@example.test", action="delayed", status="4.4.1"), False, False),
        (Told("r0@example.test", action="relayed", status="2.0.0"), False, False),
        (Told("r0@example.test", action="delayed", status="5.1.1"), False, False),
    ],
)
def test_what_a_failure_says_decides(
    house: House, told: Told, changed: bool, suppressed: bool
) -> None:
    taken = house.take(failed(told), house.token())
    assert taken.outcome == ("changed" if changed else "ignored")
    assert house.statuses()[0] == ("bounced" if changed else "delivered")
    assert bool(house.suppressed()) == suppressed


def test_a_tag_taken_away_is_the_same_mailbox(house: House) -> None:
    mine = house.token("r0+news@example.test", identifier=house.id[:6] + bytes(10))
    told = Told("r0@example.test", "r0+news@example.test", action="failed", status="5.1.1")
    house.take(failed(told), mine)
    assert [entry.address for entry in house.suppressed()] == ["r0+news@example.test"]


@pytest.mark.parametrize(
    ("settings", "expires"), [({"suppress": "off"}, []), ({"suppress_days": 2}, [2 * DAY * 1000])]
)
def test_dead_addresses_are_listed_as_the_settings_say(
    house: House, settings: dict[str, Any], expires: list[int]
) -> None:
    bounces = msgspec.structs.replace(SETTINGS.bounces, **settings)
    house.reception = reception(house.store, bounces=bounces)
    assert house.take(failed(), house.token()).outcome == "changed"
    now = house.store.clock.now_ms()
    assert [(each.expires_ms or 0) - now for each in house.suppressed()] == expires


def test_one_that_was_delivered_is_not_what_another_says(house: House) -> None:
    report = failed(
        Told("r0@example.test", action="delivered", status="2.0.0"),
        Told("r1@example.test", action="failed", status="5.1.1"),
    )
    assert house.take(report, house.token()).outcome == "ignored"
    assert house.statuses() == ["delivered", "delivered"]


def test_a_digest_is_matched_by_address_only(house: House) -> None:
    tokens = (house.token(), house.token("r1@example.test"))
    house.take(failed(GONE, references=tokens), f"complaints@{DOMAIN}")
    assert house.statuses() == ["bounced", "delivered"]


def test_a_bounce_that_is_only_text(house: House) -> None:
    text = Told(code=550, status="5.1.1", diagnostic="550 5.1.1 unknown")
    assert house.take(Report("dsn", text=text), house.token()).outcome == "changed"
    assert [each.reason for each in house.suppressed()] == ["bounce"]


@pytest.mark.parametrize(
    "report", [failed(Told("r0@example.test", action="failed")), Report("dsn"),
               Report("dsn", text=Told(diagnostic="it did not work"))],
)  # fmt: skip
def test_a_bounce_that_gives_no_reason_is_kept(house: House, report: Report) -> None:
    taken = house.take(report, house.token())
    assert (taken.outcome, taken.reason) == ("kept", "no_status")
    assert house.statuses() == ["delivered", "delivered"]


@pytest.mark.parametrize("kind", ["delayed", "auto_reply", "delivered", "relayed"])
def test_what_only_informs_changes_nothing_and_is_not_kept(house: House, kind: Any) -> None:
    assert house.take(Report(kind, (GONE,)), house.token()).outcome == "ignored"
    assert house.told == []
    assert list(house.store.returns.kept(10)) == []
    assert house.take(Report(kind), f"postmaster@{DOMAIN}").reason == "postmaster"


@pytest.mark.parametrize(
    ("kind", "suppressed"),
    [("abuse", True), ("fraud", True), ("other", True), ("virus", False)],
)
def test_a_complaint_stops_that_applications_mail(
    house: House, kind: str, suppressed: bool
) -> None:
    report = Report("complaint", references=(house.token(),), feedback_type=kind)
    assert house.take(report, f"complaints@{DOMAIN}").outcome == "noted"
    assert house.statuses() == ["delivered", "delivered"]
    assert house.store.ledger().count("complained") == 1
    found = [(each.address, each.application, each.reason, each.source) for each in
             house.suppressed()]  # fmt: skip
    assert found == ([("r0@example.test", "app", "complaint", "arf")] if suppressed else [])
    assert house.take(report, f"complaints@{DOMAIN}").outcome == "repeated"


@pytest.mark.parametrize(
    ("feedback", "outcome", "reason"),
    [("opt-out", "kept", "opt_out"), ("opt-out-list", "kept", "opt_out"),
     ("not-spam", "ignored", None), ("", "kept", "no_report")],
)  # fmt: skip
def test_other_feedback(house: House, feedback: str, outcome: str, reason: str | None) -> None:
    report = Report("other", references=(house.token(),), feedback_type=feedback)
    taken = house.take(report, f"complaints@{DOMAIN}")
    assert (taken.outcome, taken.reason) == (outcome, reason)
    assert house.told == []


def test_what_is_kept_can_be_looked_at(house: House) -> None:
    content = b"From: a@b.test\r\nSubject: Stop it\r\n\r\nSubject: not this\r\n"
    taken = house.take(Report("other"), f"Abuse@{DOMAIN}", sender="a@b.test", content=content)
    assert (taken.outcome, taken.reason) == ("kept", "abuse")
    (mail,) = house.store.returns.kept(10)
    assert (mail.sender, mail.recipient) == ("a@b.test", f"Abuse@{DOMAIN}")
    assert (mail.subject, mail.size_bytes, mail.reason) == ("Stop it", len(content), "abuse")
    one = house.store.returns.kept_one(mail.id)
    assert one is not None
    trace = b"Return-Path: <a@b.test>\r\nReceived: from there.test ([192.0.2.1]) with ESMTP\r\n"
    assert one.content == trace + content
    house.take(Report("other"), f"Abuse@{DOMAIN}", sender="a@b.test", content=content)
    assert len(house.store.returns.kept(10)) == 1  # Its answer was lost: it came again.


def test_addresses_that_are_none_harm_nothing(house: House) -> None:
    gone = house.token(identifier=house.id[:6] + bytes(10))
    strange = ("\ud800@x.test", "a@b@c", "", "@", "x" * 3000, "ä@é.test", "a@\u2028")
    report = failed(*(Told(each, each, action="failed", status="5.1.1") for each in strange),
                    candidates=strange)  # fmt: skip
    assert house.take(report, gone).outcome == "noted"


def test_reasons_are_short_names() -> None:
    assert all(each.replace("_", "").isalpha() and len(each) < 30 for each in get_args(Reason))
