"""`[console]`: what is wrong is told with the remedy, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import load
from shared.errors import ConfigError

KEY = "x" * 32


def _load(path: Path, text: str) -> None:
    file = path / "posthaste.toml"
    file.write_text(text)
    load(file, environment={})


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("url = 'http://mail.example.com'", "https://"),
        ("url = 'https://'", "https://"),
        ("url = 'ftp://localhost'", "https://"),
        ("url = 'https://user@mail.example.com'", "a port if need be"),
        ("url = 'https://mail.example.com/console'", "a port if need be"),
        ("url = 'https://mail.example.com:x'", "console.url"),
        ("url = 'https://mail.example.com'\nkey = ''", "console.key_file"),
        ("trusted_proxies = ['10.0.0.1/8']", "console.trusted_proxies"),
        ("from_domains = ['no domain']", "console.from_domains"),
        ("idle_seconds = 10", "60 or more"),
        ("idle_seconds = 7200\nsession_seconds = 3600", "console.idle_seconds"),
        ("password_min_length = 7", "8 to 64"),
        ("password_min_length_two_factor = 65", "8 to 64"),
        ("password_classes = 5", "0 to 4"),
        ("password_max_age_days = -1", "0 or more"),
        ("application = ''", "console.application"),
        ("application = 'posthaste'", "console.application"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, lines: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        _load(tmp_path, f"[console]\n{lines}\n")


def test_it_is_used_in_its_plain_form(tmp_path: Path) -> None:
    file = tmp_path / "posthaste.toml"
    file.write_text(
        f"[console]\nurl = 'https://Mail.Example.com:8443/'\nkey = '{KEY}'\n"
        "from_domains = ['BÜCHER.example']\n"
    )
    console = load(file, environment={}).console
    assert console.url == "https://mail.example.com:8443"
    assert console.from_domains == ("xn--bcher-kva.example",)
    assert KEY not in repr(console)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://mail.example.com:443", "https://mail.example.com"),
        ("https://mail.example.com:", "https://mail.example.com"),
        ("https://mail.example.com:8443", "https://mail.example.com:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
        ("https://[2001:db8::443]", "https://[2001:db8::443]"),
    ],
)
def test_b25_the_url_is_the_origin_that_browsers_send(
    tmp_path: Path, url: str, origin: str
) -> None:
    file = tmp_path / "posthaste.toml"
    file.write_text(f"[console]\nurl = '{url}'\nkey = '{KEY}'\n")
    assert load(file, environment={}).console.url == origin
