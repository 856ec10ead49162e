"""A home's keys, of what comes back and of the console: made once, used unless there are others."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.secret_files import console_keys_of, feedback_keys_of
from shared.supervisor.home import Home
from shared.supervisor.plan import TRIAL_DOMAIN, TRIAL_SENDER, Options, make

KEY = "x" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.prepare()
    return found


def test_it_is_made_once_and_for_its_owner_only(home: Home) -> None:
    assert home.feedback_key.stat().st_mode & 0o077 == 0
    before = home.feedback_key.read_text()
    home.prepare()
    assert home.feedback_key.read_text() == before
    assert feedback_keys_of(home.load().feedback) == (before.strip().encode(),)


@pytest.mark.parametrize("text", [f"key = '{KEY}'", "key_file = 'own'"])
def test_another_one_of_the_settings_goes_first(home: Home, text: str) -> None:
    (home.directory / "own").write_text(KEY)
    home.settings.write_text(f"[feedback]\n{text}\n[bounces]\ndomains = ['b.shop.test']\n")
    assert feedback_keys_of(home.load().feedback) == (KEY.encode(),)


def test_another_one_of_the_environment_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHASTE_FEEDBACK_KEY", KEY)
    assert feedback_keys_of(home.load().feedback) == (KEY.encode(),)


def test_settings_that_are_none_are_told_as_ever(home: Home) -> None:
    home.settings.write_text("[feedback\n")
    with pytest.raises(ConfigError):
        home.load()
    home.settings.write_text("feedback = 3\n")
    with pytest.raises(ConfigError):
        home.load()


@pytest.mark.parametrize(
    ("settings", "options", "domains", "runs"),
    [
        ("", Options(http=0), (TRIAL_DOMAIN,), True),
        ("", Options(http=0, smtp_relay="smtp://127.0.0.1:1"), (), False),
        ("", Options(http=0, bounces=0, smtp_relay="smtp://127.0.0.1:1"), (), True),
        ("[[relay]]\nhost = 'smtp.x.test'\n", Options(http=0), (), False),
        ("[bounces]\ndomains = ['b.shop.test']\n", Options(http=0), ("b.shop.test",), True),
        ("[bounces]\ndomains = ['b.shop.test']\n",
         Options(http=0, smtp_relay="smtp://127.0.0.1:1"), ("b.shop.test",), True),
    ],
)  # fmt: skip
def test_up_has_return_paths_of_its_own_only_for_mail_that_stays_here(
    home: Home, settings: str, options: Options, domains: tuple[str, ...], runs: bool
) -> None:
    """Mail that leaves with a return path in no domain of ours would lose its bounces."""
    home.settings.write_text(settings)
    plan = make(home, options, "/tmp/s")  # noqa: S108  # Nothing is made there.
    try:
        assert plan.settings.bounces.domains == domains
        assert (plan.bounces is not None) == runs
        assert ("bounces" in {each.role for each in plan.specs}) == runs
        to_inbox = plan.inbox_smtp == f"smtp://{plan.relay}"
        assert plan.settings.unsubscribe.url == (plan.http if to_inbox else "")
    finally:
        plan.release()


def test_the_console_has_a_key_of_its_own(home: Home) -> None:
    assert home.console_key.stat().st_mode & 0o077 == 0
    own = home.console_key.read_text().strip().encode()
    assert console_keys_of(home.load().console) == (own,)
    home.settings.write_text(f"[console]\nkey = '{KEY}'\nurl = 'https://mail.shop.test'\n")
    assert console_keys_of(home.load().console) == (KEY.encode(),)


@pytest.mark.parametrize(
    ("settings", "options", "url", "sender"),
    [
        ("", Options(http=0), "HTTP", TRIAL_SENDER),
        ("", Options(http=0, smtp_relay="smtp://127.0.0.1:1"), "HTTP", ""),
        ("[console]\nurl = 'https://mail.shop.test'\n", Options(http=0),
         "https://mail.shop.test", ""),
        ("[web]\nlisten = '0.0.0.0:0'\n", Options(http=0), "", ""),
    ],
)  # fmt: skip
def test_up_has_a_console_where_nobody_else_can_listen(
    home: Home, settings: str, options: Options, url: str, sender: str
) -> None:
    home.settings.write_text(settings)
    plan = make(home, options, "/tmp/s")  # noqa: S108  # Nothing is made there.
    try:
        assert plan.settings.console.url == (plan.http if url == "HTTP" else url)
        assert plan.settings.console.mail_from == sender
    finally:
        plan.release()
