"""How far the tables agree with replies of real servers, labelled by what their sources say.

A new reply is a row in `corpus.toml`. `pytest -k agreement -s` prints the figures.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest

from shared.classification.classification import Classification
from shared.classification.meaning import Category, Meaning
from shared.cli.replies import parsed_reply
from shared.config import load

LEAST = 0.95
LEAST_OF_A_CATEGORY = 0.90
COUNTED = 10
"""A category with fewer replies is not judged by itself."""
SHIPPED = Classification(load(None, {}))


class Labelled(msgspec.Struct, frozen=True):
    """One reply, and what its source says of it."""

    text: str
    outcome: str
    category: str
    dead: bool
    provider: str = ""
    url: str = ""

    @property
    def meaning(self) -> Meaning:
        """What the shipped tables make of it."""
        code, enhanced, text = parsed_reply(self.text)
        return SHIPPED.of(code, enhanced, text, provider=self.provider)

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        found = self.meaning
        told = (found.outcome, found.category, found.suppresses)
        return told == (self.outcome, self.category, self.dead)


def _labelled() -> list[Labelled]:
    path = Path(__file__).with_name("corpus.toml")
    sources: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["source"]
    return [
        Labelled(text, outcome, category, dead, source.get("provider", ""), source["url"])
        for source in sources
        for text, outcome, category, dead in source["replies"]
    ]


CORPUS = _labelled()


def test_there_are_enough_replies_each_with_its_source() -> None:
    assert len({each.text for each in CORPUS}) >= 300
    for each in CORPUS:
        assert urlsplit(each.url).scheme in ("http", "https"), each.text
        assert each.category in get_args(Category), each.text
        assert each.outcome in ("deferral", "bounce"), each.text
    assert {each.category for each in CORPUS} == set(get_args(Category)), "each is there"


def test_agreement_by_category(capsys: pytest.CaptureFixture[str]) -> None:
    total = Counter(each.category for each in CORPUS)
    agreed = Counter(each.category for each in CORPUS if each.agrees)
    shares = {name: agreed[name] / count for name, count in total.items()}
    whole = agreed.total() / total.total()
    with capsys.disabled():
        print("\n")  # noqa: T201  # The figures are what this test is about.
        for name, count in total.most_common():
            print(f"{name:18} {agreed[name]:4} of {count:4}  {shares[name]:7.1%}")  # noqa: T201
        print(f"{'all':18} {agreed.total():4} of {total.total():4}  {whole:7.1%}")  # noqa: T201
    differ = [f"{each.text!r}: {each.meaning}" for each in CORPUS if not each.agrees]
    assert whole >= LEAST, differ
    low = {name: share for name, share in shares.items() if share < LEAST_OF_A_CATEGORY}
    assert not {name for name in low if total[name] >= COUNTED}, differ


@pytest.mark.parametrize("provider", ["", "google", "exchange-online", "outlook", "gmx", "yahoo"])
def test_nobody_is_suppressed_who_is_not_dead(provider: str) -> None:
    """Whoever says it, and through whichever relay: that others use its words is no excuse."""
    wrong = []
    for each in CORPUS:
        if each.dead or (provider and each.provider not in ("", provider)):
            continue
        code, enhanced, text = parsed_reply(each.text)
        for at_rcpt in (False, True):
            if SHIPPED.of(code, enhanced, text, provider=provider, at_rcpt=at_rcpt).suppresses:
                wrong.append((each.text, provider))
    # What is sure of these providers only.
    assert {text for text, _ in wrong} <= {"550 Requested action not taken: mailbox unavailable"}
    assert not wrong or provider in ("outlook", "exchange-online", "gmx")


def test_every_shipped_rule_decides_a_reply_of_the_corpus() -> None:
    decide = {each.meaning.rule for each in CORPUS}
    assert {entry.name for entry in SHIPPED} - decide == set()
