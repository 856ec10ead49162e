"""What this host calls itself, and what one end of a connection is called instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from workers.smtp.own_name import OwnName, is_fully_qualified
from workers.smtp.wire import Wire


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("mail.shop.test", True),
        ("Mail-1.shop.test", True),
        ("xn--bcher-kva.test", True),
        ("localhost", False),
        ("LOCALHOST", False),
        ("localhost.localdomain", False),
        ("host.localhost", False),
        ("host", False),
        ("", False),
        ("10.0.0.7", False),
        ("::1", False),
        ("a_b.test", False),
        ("-a.test", False),
        ("a..test", False),
        ("müller.test", False),
        ("a.test\n", False),
        ("a.b\r\nMAIL", False),
        ("a." * 140 + "test", False),
    ],
)
def test_a_proper_name(name: str, good: bool) -> None:
    assert is_fully_qualified(name) == good


def test_a_name_that_is_no_text_for_dns_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up() -> str:
        raise UnicodeError("label too long")

    monkeypatch.setattr("socket.getfqdn", look_up)
    assert asyncio.run(OwnName().get()) == ""


class Transport:
    """A connection's facts, without one."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def get_extra_info(self, name: str) -> Any:
        """A fact."""
        return self._facts.get(name)

    def get_write_buffer_size(self) -> int:
        """Bytes that have not left."""
        return 1000


def wire(**facts: Any) -> Wire:
    async def make() -> Wire:
        made = Wire()
        made.connection_made(Transport(**facts))  # type: ignore[arg-type]
        return made

    return asyncio.run(make())


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        (("192.0.2.7", 40000), "[192.0.2.7]"),
        (("2001:db8::7", 40000, 0, 0), "[IPv6:2001:db8::7]"),
        (("fe80::1%eth0", 40000, 0, 2), "[IPv6:fe80::1]"),
        (None, "[127.0.0.1]"),
    ],
)
def test_an_address_literal(address: Any, literal: str) -> None:
    assert wire(sockname=address).address() == literal


def test_what_surely_has_not_left() -> None:
    assert wire().holds_back(1000)
    assert not wire().holds_back(1001)
    assert not wire(ssl_object=object()).holds_back(1), "records are of other sizes"
