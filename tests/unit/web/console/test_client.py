"""Where a request came from, as far as trusted proxies tell it (B28)."""

from __future__ import annotations

import pytest
from flask import Flask

from shared.console_settings import ConsoleSettings
from web.console.client import client_address

PROXIES = ConsoleSettings(trusted_proxies=("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.9", None, "192.0.2.9"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:5060", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:5060", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        ("10.0.0.1", "2001:db8:1:2:3:4:55:6", "2001:db8:1:2:3:4:55:6"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_b28_the_client_is_who_no_trusted_proxy_is(
    peer: str, forwarded: str | None, found: str
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    with Flask("test").test_request_context(
        headers=headers, environ_overrides={"REMOTE_ADDR": peer}
    ):
        assert client_address(PROXIES) == found
