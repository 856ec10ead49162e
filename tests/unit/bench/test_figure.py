"""The arithmetic of bars, ratios and verdicts."""

from __future__ import annotations

import pytest

from tests.bench.figure import Figure, Peer


def rate(value: float, *peers: Peer, must: float | None = 2500) -> Figure:
    """A figure of which more is better."""
    return Figure("batch", (value,), "/s", must=must, peers=peers)


def took(value: float, *peers: Peer) -> Figure:
    """A figure of which less is better."""
    return Figure("latency", (value,), "ms", "lower", must=60, peers=peers)


def test_the_value_is_the_median_of_the_runs() -> None:
    assert Figure("x", (9.0, 1.0, 4.0), "/s").value == 4.0
    assert Peer("y", (9.0, 1.0)).value == 5.0


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (rate(2500), "met"),
        (rate(9000), "met"),
        (rate(2000), "missed by 20.0%"),
        (rate(1, must=None), ""),
        (took(60), "met"),
        (took(3), "met"),
        (took(90), "missed by 50.0%"),
    ],
)
def test_a_bar_is_met_or_missed_by_a_share_of_it(figure: Figure, verdict: str) -> None:
    assert figure.verdict() == verdict


def test_a_slow_machine_is_forgiven_at_nine_tenths_of_the_implied_ratio() -> None:
    # 2,500 to 605 is a ratio of 4.13: nine tenths of it are 3.72.
    slow = Peer("Postfix", (300.0,), reference=605)
    assert rate(3.73 * 300, slow).verdict() == "met by ratio to Postfix"
    assert rate(3.71 * 300, slow).verdict() == "missed by 55.5%"


def test_any_peer_with_a_reference_may_forgive() -> None:
    fast = Peer("Postfix", (605.0,), reference=605)
    slow = Peer("Postfix signing", (100.0,), reference=343)
    assert rate(1000, fast, slow).verdict() == "met by ratio to Postfix signing"


def test_a_peer_without_a_reference_forgives_nothing() -> None:
    assert rate(2499, Peer("alone", (1.0,))).verdict() == "missed by 0.0%"


def test_a_peer_that_did_nothing_forgives_nothing() -> None:
    stopped = Peer("Postfix", (0.0,), reference=605)
    assert rate(10, stopped).ratio(stopped) == 0
    assert rate(10, stopped).verdict().startswith("missed")


def test_less_is_not_forgiven_by_a_ratio() -> None:
    assert took(61, Peer("other", (1000.0,), reference=60)).verdict() == "missed by 1.7%"
