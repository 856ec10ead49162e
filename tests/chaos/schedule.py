"""Which faults, in which order: every target killed, stopped and restarted in every round. Pure."""

from __future__ import annotations

import random

import msgspec

LEAST_ROUNDS = 2
MESSAGES_A_ROUND = 20_000
"""More messages, more rounds."""


class Step(msgspec.Struct, frozen=True):
    """One fault. `pumps` are all workers at once: each of them runs a pump."""

    target: str
    action: str


DELIVERY = (
    *(
        Step(target, action)
        for target in ("worker", "pumps", "valkey")
        for action in ("kill", "stop", "restart")
    ),
    Step("valkey and worker", "kill"),
    Step("relays", "swap"),
    Step("relays", "swap"),
)
INGEST = (
    *(Step("web", action) for action in ("kill", "stop", "restart")),
    Step("web process", "kill"),
    Step("web process", "stop"),
)
"""Beside the others, at the same time: no copy may come of these."""
BOUNCES = tuple(Step("bounces", action) for action in ("kill", "stop", "restart"))
"""Beside the others too."""
WORLD = (
    Step("pool's first", "refuse"),
    Step("pool's first", "421"),
    Step("mail host", "refuse"),
    Step("mail host", "421"),
    Step("dns", "silence"),
    Step("dns", "SERVFAIL"),
)
"""Beside the others too, and of these no copy may come either."""


def rounds(messages: int) -> int:
    """How often everything is done."""
    return LEAST_ROUNDS + messages // MESSAGES_A_ROUND


def plan(steps: tuple[Step, ...], messages: int, seed: int) -> list[Step]:
    """The steps in the order of a seed, all of them once in each round."""
    chance = random.Random(f"{seed}/{steps}")
    found: list[Step] = []
    for _ in range(rounds(messages)):
        found += chance.sample(steps, len(steps))
    return found
