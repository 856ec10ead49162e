"""What is read by hand is what the library reads; the library gets everything that is not plain."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from workers.dns.answers import Found, Kind, NoData, NoSuchName, Told
from workers.dns.wire import answers, plain_answer, query

SOA = "ns.test. hostmaster.test. 1 7200 900 1209600 {}"
TEXTS: dict[Kind, list[str]] = {
    "A": ["192.0.2.1", "198.51.100.255"],
    "AAAA": ["2001:db8::1", "2001:db8:0:1:2:3:4:5"],
    "MX": ["10 mx.shop.test.", "20 MX2.elsewhere.example.", "0 ."],
    "TXT": ['"v=spf1 " "-all"', '"v=STSv1; id=1;"'],
}


def asked(name: str = "shop.test", kind: Kind = "MX") -> bytes:
    found = query(name, kind, 4711, 1232)
    assert found is not None
    return found


def respond(
    to: bytes, *answer: dns.rrset.RRset, authority: Sequence[dns.rrset.RRset] = (), rcode: str = ""
) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(to))
    response.flags |= dns.flags.RA
    response.answer.extend(answer)
    response.authority.extend(authority)
    response.set_rcode(dns.rcode.from_text(rcode or "NOERROR"))
    return response.to_wire()


def rrset(name: str, seconds: int, kind: str, *texts: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(f"{name}.", seconds, "IN", kind, *texts)


def test_a_question_is_what_the_library_understands() -> None:
    message = dns.message.from_wire(asked("_mta-sts.shop.test", "TXT"))
    assert message.question[0].to_text() == "_mta-sts.shop.test. IN TXT"
    assert (message.id, message.payload, message.flags) == (4711, 1232, dns.flags.RD)


@pytest.mark.parametrize("name", ["", "a..test", "a" * 64, "ä.test", "a b.test", "a\\.b.test"])
def test_an_unusual_name_is_left_to_the_library(name: str) -> None:
    assert query(name, "MX", 1, 1232) is None


@pytest.mark.parametrize("kind", TEXTS)
def test_records_are_read_as_the_library_writes_them(kind: Kind) -> None:
    question = asked(kind=kind)
    records = rrset("shop.test", 77, kind, *TEXTS[kind])
    texts = [
        b"".join(each.strings).decode() if kind == "TXT" else each.to_text() for each in records
    ]
    told = plain_answer(respond(question, records), question, "shop.test", kind)
    assert told is not None
    assert isinstance(told.answer, Found)
    assert (sorted(told.answer.records), told.seconds) == (sorted(texts), 77)
    assert told.answer.name == "shop.test"


@pytest.mark.parametrize("soa", [(120, 900), (900, 120)])
def test_a_denial_is_kept_for_the_lesser_of_the_soas_times(soa: tuple[int, int]) -> None:
    question = asked()
    zone = [rrset("test", soa[0], "SOA", SOA.format(soa[1]))]
    nothing = respond(question, authority=zone)
    nobody = respond(question, authority=zone, rcode="NXDOMAIN")
    assert plain_answer(nothing, question, "shop.test", "MX") == Told(NoData("shop.test"), 120)
    assert plain_answer(nobody, question, "shop.test", "MX") == Told(NoSuchName(), 120)


MX = rrset("shop.test", 60, "MX", "10 mx.shop.test.")


def test_a_denial_without_an_soa_does_not_say_how_long_it_holds() -> None:
    question = asked()
    nobody = respond(question, rcode="NXDOMAIN")
    assert plain_answer(nobody, question, "shop.test", "MX") == Told(NoSuchName(), 0)
    told = plain_answer(respond(question), question, "shop.test", "MX")
    assert told == Told(NoData("shop.test"), 0)


@pytest.mark.parametrize(
    "response",
    [
        respond(asked(), rrset("shop.test", 60, "CNAME", "a.test."), MX),
        respond(asked(), MX, rrset("shop.test", 60, "A", "192.0.2.1")),
        respond(asked(), rrset("other.test", 60, "MX", "10 mx.other.test.")),
        respond(asked(), rrset("shop.test", 60, "MX", r"10 m\.x.shop.test.")),
        respond(asked(), rcode="SERVFAIL"),
        respond(asked(), MX, rcode="REFUSED"),
        respond(asked(), authority=[rrset("elsewhere.example", 60, "SOA", SOA.format(5))]),
        respond(asked(), authority=[rrset("op.test", 60, "SOA", SOA.format(5))]),
        respond(asked(), authority=[rrset("test", 60, "NS", "ns.test.")]),
    ],
    ids=range(9),
)  # fmt: skip
def test_everything_else_is_left_to_the_library(response: bytes) -> None:
    assert plain_answer(response, asked(), "shop.test", "MX") is None


def test_what_is_cut_off_is_left_to_the_library() -> None:
    response = bytearray(respond(asked(), MX))
    assert plain_answer(bytes(response), asked(), "shop.test", "MX") is not None
    response[2] |= 0x02
    assert plain_answer(bytes(response), asked(), "shop.test", "MX") is None


def test_only_the_response_to_the_query_is_one() -> None:
    question, response = asked(), respond(asked(), MX)
    assert answers(response, question)
    assert not answers(question, question), "a query"
    assert not answers(b"\0\0" + response[2:], question), "another identity"
    assert not answers(respond(asked("shop2.test"), MX), question)
    assert not answers(respond(asked(kind="A"), MX), question)
    assert not answers(b"", question)


def test_pointers_that_lead_in_circles_or_on_end() -> None:
    head = respond(asked(), MX)[:12]
    question = asked()[12:-11]
    at = len(head + question)
    for target in (at, at + 2, at + 30):
        owner = struct.pack(">H", 0xC000 | target)
        response = head + question + owner + struct.pack(">HHIH", 15, 1, 60, 4) + b"\0\1\0\0" * 9
        assert plain_answer(response, asked(), "shop.test", "MX") is None


def test_nothing_that_comes_raises() -> None:
    """And of what is read by hand, nothing is read otherwise than by the library."""
    chance = random.Random(1)
    for kind, texts in TEXTS.items():
        question = asked(kind=kind)
        good = respond(question, rrset("shop.test", 60, kind, *texts))
        for _ in range(1500):
            data = bytearray(good)
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(question) - 11, len(data))] = chance.randrange(256)
            cut = bytes(data[: chance.choice([len(data), chance.randrange(12, len(data))])])
            told = plain_answer(cut, question, "shop.test", kind) if len(cut) > 40 else None
            if told is None or not isinstance(told.answer, Found) or kind == "TXT":
                continue
            try:
                library = dns.message.from_wire(cut, ignore_trailing=True)
            except dns.exception.DNSException:
                continue  # What is broken comes behind what was asked for.
            texts_there = {each.to_text().lower() for some in library.answer for each in some}
            assert {each.lower() for each in told.answer.records} == texts_there
