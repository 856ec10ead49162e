"""What README and CONTRIBUTING say of shaping.toml is so."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

from shared.outgoing import Outgoing, outgoing_from
from tests.unit.shared.shaping.test_file import written

ROOT = Path(__file__).parents[4]
RELAY = """
[[route]]
name = "newsletters"
relay = "relay"
classes = ["bulk"]
[[relay]]
name = "relay"
host = "127.0.0.1"
rate = 100
"""


def example(page: str, marked: str, directory: Path) -> Outgoing:
    """An installation with the shaping.toml that a page shows, the one with this line."""
    found: list[str] = re.findall(
        r"^ *```toml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (text,) = [each for each in found if marked in each]
    return outgoing_from(written(directory, textwrap.dedent(text), more=RELAY))


def test_the_example_in_the_readme_does_what_it_says(tmp_path: Path) -> None:
    found = example("README.md", "[site.partner]", tmp_path)
    shaping = found.shaping
    google = shaping.of_site(["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"])
    assert (google.provider, google.shape.connections, google.shape.per_day) == (
        "google",
        20,
        50000,
    )
    assert google.shape.messages_per_connection == 50
    assert shaping.default.shape.connections == 5
    assert shaping.default.shape.messages_per_connection == 100
    partner = shaping.of_site(["a.mx.partner.example", "mail.partner.example"])
    assert (partner.provider, partner.limit.per_minute) == ("partner", 60)
    assert shaping.of_site(["a.mx.partner.example", "mx.elsewhere.example"]) == shaping.default
    relay = shaping.of_relay("relay").limit
    assert (relay.connections, relay.per_second) == (40, 25.0)
    route = shaping.of_route("newsletters")
    assert route is not None
    assert route.limit.per_hour == 20000
    assert "relay@newsletters" in found.routes.hops


def test_the_rules_in_the_readme_do_what_they_say(tmp_path: Path) -> None:
    rules = example("README.md", "[site.partner]", tmp_path).shaping.rules
    rule = rules.find(451, "", "Sorry, the house is full", at_rcpt=False, provider="partner")
    assert rule is not None
    assert (rule.name, rule.suspend_seconds, rule.slow) == ("partner-full-house", 600, True)
    assert rules.find(451, "", "the house is full", at_rcpt=False, provider="google") is None
    turned_off = "Try again later, closing connection."
    assert rules.find(421, "4.7.0", turned_off, at_rcpt=False, provider="google") is None


def test_a_provider_and_a_rule_as_contributing_shows_them(tmp_path: Path) -> None:
    shaping = example("CONTRIBUTING.md", "[site.island]", tmp_path).shaping
    island = shaping.of_site(["mx1.mail.island.example", "mx2.mail.island.example"])
    assert (island.provider, island.shape.connections) == ("island", 3)
    rule = shaping.rules.find(
        451, "4.3.2", "Sorry, the tide is in", at_rcpt=True, provider=island.provider
    )
    assert rule is not None
    assert (rule.name, rule.suspend_seconds) == ("island-tide", 1800)
    assert urlsplit(rule.source).netloc == "postmaster.island.example"
