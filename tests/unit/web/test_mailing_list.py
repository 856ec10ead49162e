"""The field `list`: which messages may have one, how it is named, and that it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from shared.feedback.tokens import MOST_UNSUBSCRIBE, Tokens
from shared.feedback_settings import FeedbackSettings, UnsubscribeSettings
from shared.headers import MAX_LINE
from shared.ids import new_message_id
from shared.model.message import CLASSES, Message
from shared.parting import legs_of
from shared.routing import Routes
from shared.settings import Settings
from tests.support.system import message
from web.validation import Policy, Validated, validate

NOW = 1_800_000_000_000
READY = Settings(
    feedback=FeedbackSettings(key="k" * 32),
    unsubscribe=UnsubscribeSettings(url="https://mail.shop.test"),
)


def check(settings: Settings = READY, /, **fields: Any) -> Validated:
    policy = Policy(settings, "shop", (), CLASSES, NOW, Routes(settings))
    given = message(**{"class": "bulk", "list": "news", **fields})
    return validate(given, new_message_id(), policy)


def good(**fields: Any) -> Message:
    found = check(**fields)
    assert found.message is not None, found.errors
    return found.message


def wrong(settings: Settings = READY, /, **fields: Any) -> list[tuple[str, str]]:
    found = check(settings, **fields)
    assert found.message is None
    return [(error.pointer, error.code) for error in found.errors]


@pytest.mark.parametrize(
    "name", ["n", "N" * 64, "Weekly offers", "Ünïcode 通知", "a|b", "<news>", "x\u0301" * 20]
)
def test_names_are_kept(name: str) -> None:
    assert good(list=name).head.list == name


def test_a_name_is_the_same_however_its_accents_are_written() -> None:
    assert good(list="cafe\u0301").head.list == good(list="caf\u00e9").head.list == "caf\u00e9"
    assert good(list="e\u0301" * 64).head.list == "\u00e9" * 64
    assert good(list="News").head.list != good(list="news").head.list


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "bad_length"), ("n" * 65, "bad_length"), ("n" * 257, "too_long"),
        ("\U0001f600" * 64, "bad_length"),
        (" news", "bad_list_name"),
        ("news ", "bad_list_name"), (" ", "bad_list_name"), ("ne\u00a0ws", "bad_list_name"),
        ("ne\u200bws", "bad_list_name"), ("\u202enews", "bad_list_name"),
        ("ne\nws", "control_character"), ("ne\x00ws", "control_character"),
        ("=?utf-8?q?=0A?=", "control_character"), ("\ud800", "bad_unicode"),
        (1, "wrong_type"), (["news"], "wrong_type"), ({}, "wrong_type"), (False, "wrong_type"),
    ],
)  # fmt: skip
def test_other_names_are_refused(name: object, code: str) -> None:
    assert wrong(list=name) == [("/list", code)]


def test_without_a_list_nothing_is_asked_of_a_message() -> None:
    found = check(Settings(), list=None, to=["a@b.test", "c@d.test"], **{"class": "critical"})
    assert found.message is not None
    assert found.message.head.list == ""


@pytest.mark.parametrize("name", ["transactional", "critical"])
def test_only_bulk_mail_has_a_list(name: str) -> None:
    fields: dict[str, Any] = {"class": name}
    assert wrong(**fields) == [("/list", "list_needs_bulk")]


@pytest.mark.parametrize(
    "fields",
    [
        {"to": ["a@b.test", "c@d.test"]},
        {"to": "a@b.test", "cc": "c@d.test"},
        {"to": None, "bcc": "a@b.test"},
    ],
)
def test_one_reader_sees_his_own_link(fields: dict[str, Any]) -> None:
    assert wrong(**fields) == [("/list", "list_needs_one_recipient")]


def test_an_address_that_stands_twice_is_one_reader() -> None:
    head = good(to=["a@b.test", "a@b.test"], cc="a@b.test").head
    assert [each.email for each in head.recipients] == ["a@b.test"]


def test_each_blind_copy_is_a_leg_of_its_own() -> None:
    head = good(to="a@b.test", bcc=["c@b.test", "d@b.test"]).head
    assert [tuple(leg.indices()) for leg in legs_of(head, NOW, Routes(READY))] == [(0,), (1,), (2,)]
    plain = good(list=None, to="a@b.test", bcc=["c@b.test", "d@b.test"]).head
    assert [tuple(leg.indices()) for leg in legs_of(plain, NOW, Routes(READY))] == [(0, 1, 2)]


@pytest.mark.parametrize("name", ["List-Unsubscribe", "LIST-UNSUBSCRIBE-POST"])
def test_its_headers_are_ours(name: str) -> None:
    headers = {name: "<https://elsewhere.test>", "List-Help": "<https://shop.test/help>"}
    assert wrong(headers=headers) == [(f"/headers/{name}", "reserved_header")]
    assert good(list=None, headers=headers).content.headers == tuple(headers.items())


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(feedback=READY.feedback),
        Settings(unsubscribe=READY.unsubscribe),
    ],
)
def test_without_links_there_is_no_list(settings: Settings) -> None:
    assert wrong(settings) == [("/list", "unsubscribe_not_configured")]
    keyed = FeedbackSettings(key_file="/etc/posthaste/feedback.key")
    assert check(Settings(feedback=keyed, unsubscribe=READY.unsubscribe)).message is not None


def test_a_link_stands_on_one_line() -> None:
    address = "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".t"
    url = f"https://{'h' * 192}"
    longest = Settings(feedback=READY.feedback, unsubscribe=UnsubscribeSettings(url=url))
    refused = 0
    for characters in range(1, 65):
        policy = Policy(longest, "\u901a" * 64, (), CLASSES, NOW, Routes(longest))
        given = message(to=address, list="\u901a" * characters, **{"class": "bulk"})
        found = validate(given, new_message_id(), policy)
        if found.message is None:
            assert [error.code for error in found.errors] == ["too_long"]
            refused += 1
        else:
            head = found.message.head
            token = Tokens([b"k" * 32]).unsubscribe(head.application, head.list, address)
            assert len(f"List-Unsubscribe: <{url}/u/{token}>") <= MAX_LINE
            assert len(token) <= MOST_UNSUBSCRIBE
    assert 0 < refused < 64


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert wrong(
        Settings(), to=["a@b.test", "c@d.test"], list="", headers={"List-Unsubscribe": "<x>"},
        **{"class": "critical"},
    ) == [
        ("/list", "unsubscribe_not_configured"), ("/list", "list_needs_bulk"),
        ("/list", "list_needs_one_recipient"), ("/headers/List-Unsubscribe", "reserved_header"),
        ("/list", "bad_length"),
    ]  # fmt: skip
