"""Outcomes, and what the watch says after each of them."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.watch import (
    Expected,
    OutcomePair,
    Watch,
    WatchPolicy,
    payoff_without,
)

WON, LOST, EVEN = OutcomePair(1.0, 0.0), OutcomePair(0.0, 1.0), OutcomePair(1.0, 1.0)
HIT, MISS = OutcomePair(1.0, None), OutcomePair(0.0, None)
ABSENT, INITIAL = OutcomePair(None, None), OutcomePair(None, 1.0)
EXPECTED = Expected(32.0, 40)


def vectors() -> list[dict[str, Any]]:
    """All cases, each with the verdict after every outcome."""
    return [*_named(), *_drawn()]


def _vector(
    name: str,
    outcomes: Sequence[OutcomePair],
    expected: Expected | None = EXPECTED,
    policy: WatchPolicy | None = None,
    reverted: bool = False,
) -> dict[str, Any]:
    policy = policy or WatchPolicy()
    watch = Watch(expected, policy, reverted=reverted)
    least = expected.at_least(policy.caution) if expected else 0.0
    return {
        "name": name,
        "policy": dataclasses.asdict(policy),
        "expected": expected._asdict() if expected else None,
        "least": least,
        "payoffs": [payoff_without(p, least) for p in (0.0, 0.5, 1.0)] if least else [],
        "reverted": reverted,
        "outcomes": [list(outcome) for outcome in outcomes],
        "verdicts": [list(watch.add(outcome)[:3]) for outcome in outcomes],
        "reason": watch.verdict().reason,
    }


def _named() -> Iterator[dict[str, Any]]:
    none = WatchPolicy(restore_evidence=None)
    yield _vector("no outcomes", [])
    yield _vector("a better model", [WON, EVEN] * 20)
    yield _vector("a worse model, both asked", [LOST] * 16)
    yield _vector("a worse model, feedback alone", [MISS] * 12)
    yield _vector("a long good past delays nothing", [WON] * 30 + [LOST] * 14)
    yield _vector("equal models", [WON, LOST] * 20)
    yield _vector("nothing known of the initial model", [MISS] * 12, None)
    yield _vector("an initial model that never hits", [MISS] * 12, Expected(0.0, 40))
    yield _vector("one that always hits", [MISS, HIT] * 6, Expected(5.0, 5))
    yield _vector("no evidence of it", [MISS] * 12, Expected(0.0, 0))
    yield _vector("outcomes of no model or one", [ABSENT, INITIAL] * 4 + [LOST] * 14)
    yield _vector("both kinds", [LOST, MISS] * 8)
    yield _vector("parts of sequences", [OutcomePair(0.25, 0.75)] * 30)
    yield _vector("reverted, and restored", [LOST] * 13 + [WON] * 30)
    yield _vector("a revert that stands", [LOST] * 13 + [WON] * 30, policy=none)
    yield _vector("reverted before, feedback says nothing", [HIT] * 20, reverted=True)
    yield _vector("reverted before, and restored", [WON] * 24, reverted=True)
    yield _vector("reverted before, and stands", [WON] * 24, EXPECTED, none, True)
    soon = WatchPolicy(revert_evidence=10.0, restore_evidence=10.0, caution=0.0)
    yield _vector("least thresholds", [LOST] * 6 + [WON] * 6 + [MISS] * 6, policy=soon)


def _drawn() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(21)
    policy = WatchPolicy(revert_evidence=20.0, restore_evidence=50.0, caution=1.0)
    for number in range(8):
        outcomes = []
        for _ in range(60):
            personalized, initial = (random.random(2) < (0.5, 0.75)).tolist()
            asked = random.random() < (1.0, 0.6)[number % 2]
            outcomes.append(
                OutcomePair(float(personalized), float(initial) if asked else None)
            )
        yield _vector(f"drawn {number}", outcomes, Expected(9.0, 12), policy)
