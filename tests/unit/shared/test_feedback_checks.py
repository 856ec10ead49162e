"""`[bounces]` and `[unsubscribe]` as they are loaded: made one form, or refused with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import load
from shared.errors import ConfigError
from shared.settings import Settings

KEY = f'[feedback]\nkey = "{"k" * 32}"\n'


def loaded(directory: Path, text: str, key: str = KEY) -> Settings:
    (directory / "posthaste.toml").write_text(key + text)
    return load(directory / "posthaste.toml", {})


def test_domains_are_a_labels(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[bounces]\ndomains = ["B.Shop.test.", "bücher.example"]\n')
    assert found.bounces.domains == ("b.shop.test", "xn--bcher-kva.example")
    assert loaded(tmp_path, "").bounces.domains == ()


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("localhost", "not a domain"),
        ("a b.test", "not a domain"),
        ("x@shop.test", "not a domain"),
        ("*.shop.test", "not a domain"),
        ("1.2.3.4", "not a domain"),
        ("", "not a domain"),
        (".".join(["x" * 60] * 3) + ".shop.test", "over 190 octets"),
        ('a.test", "A.test', "a.test twice"),
    ],
)
def test_wrong_domains_are_refused(tmp_path: Path, domain: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        loaded(tmp_path, f'[bounces]\ndomains = ["{domain}"]\n')
    assert "bounces.domains" in str(told.value)


def test_the_longest_return_path_is_one_that_every_server_takes(tmp_path: Path) -> None:
    domain = ".".join(["x" * 60] * 3) + ".a.test"
    assert len(f"{'b' * 63}@{domain}") == 253
    assert loaded(tmp_path, f'[bounces]\ndomains = ["{domain}"]\n').bounces.domains == (domain,)


@pytest.mark.parametrize(
    "text", ['[bounces]\ndomains = ["a.test"]\n', '[unsubscribe]\nurl = "https://a.test"\n']
)
def test_without_a_key_nothing_can_be_signed(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"openssl rand -hex 32.*feedback\.key_file"):
        loaded(tmp_path, text, key="")
    loaded(tmp_path, text, key='[feedback]\nkey_file = "read/by/those/who/sign"\n')


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://mail.shop.test", "https://mail.shop.test"),
        ("https://mail.shop.test/", "https://mail.shop.test"),
        ("https://shop.test:8443/mail//", "https://shop.test:8443/mail"),
        ("http://localhost:8025", "http://localhost:8025"),
        ("http://127.0.0.1:8025/", "http://127.0.0.1:8025"),
        ("http://[::1]:8025", "http://[::1]:8025"),
    ],
)
def test_links_begin_with_the_url_without_its_last_slash(
    tmp_path: Path, url: str, used: str
) -> None:
    assert loaded(tmp_path, f'[unsubscribe]\nurl = "{url}"\n').unsubscribe.url == used


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.shop.test",
        "http://192.0.2.1",
        "ftp://mail.shop.test",
        "mail.shop.test",
        "https://",
        "https:///u",
        "https://mail.shop.test:0",
        "https://mail.shop.test:99999",
        "https://[::1",
        "https://mail.shop.test?",
        "https://mail.shop.test?a=b",
        "https://mail.shop.test/#u",
        "https://user:pass@mail.shop.test",
        "https://mail.shop.test/a b",
        "https://mail.shop.test/a>b",
        "https://mail.shop.test/a,b",
        "https://mail.shop.test/ü",
        "https://mail.shop.test/" + "x" * 200,
    ],
)
def test_a_url_that_links_cannot_begin_with_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"unsubscribe\.url"):
        loaded(tmp_path, f'[unsubscribe]\nurl = "{url}"\n')
