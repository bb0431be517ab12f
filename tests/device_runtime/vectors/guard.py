"""Evidence, and what the guards decide on it."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate, Evidence, Score
from fedp.device_runtime.guards import decide
from fedp.device_runtime.manifest_check import KINDS

# What of a policy a guard looks at.
FIELDS = ("guard", "epochs", "min_hold_out", "margin", "folds", "blends", "caution")
NAN, INF = math.nan, math.inf

# losses and correct of one model on the judged examples.
Scores = tuple[Sequence[float], Sequence[float]]


def vectors() -> list[dict[str, Any]]:
    """All cases, each with its decision."""
    found = [*_each_kind(), *_gates(), *_edges(), *_flips(), *_choices(), *_drawn()]
    names = [vector["name"] for vector in found]
    assert len(set(names)) == len(names), "each name once"
    return found


def policy_fields(policy: Policy) -> dict[str, Any]:
    fields = dataclasses.asdict(policy)
    return {name: fields[name] for name in FIELDS}


def score(scores: Scores) -> Score:
    losses, correct = scores
    return Score(np.array(losses, np.float32), np.array(correct, np.float32))


def _vector(
    name: str,
    policy: Policy,
    initial: Scores,
    candidates: dict[tuple[int, float], Scores],
    *,
    examples: int = 20,
    distinct: int = 5,
    finite: bool = True,
    classes: bool = True,
) -> dict[str, Any]:
    judged = {Candidate(*which): score(told) for which, told in candidates.items()}
    facts = {
        "examples": examples,
        "distinct": distinct,
        "finite": finite,
        "classes": classes,
    }
    decision = decide(Evidence(score(initial), judged, **facts), policy)
    return {
        "name": name,
        "policy": policy_fields(policy),
        "evidence": {
            "initial": _told(score(initial)),
            "candidates": [{**c._asdict(), **_told(s)} for c, s in judged.items()],
            **facts,
        },
        "decision": decision._asdict(),
    }


def _told(score: Score) -> dict[str, list[float]]:
    return {"losses": score.losses.tolist(), "correct": score.correct.tolist()}


BEFORE: Scores = ([2.0, 1.0, 0.5, 1.5, 0.25, 3.0, 0.75, 1.25], [0, 1, 1, 0, 1, 0, 1, 1])
# Saves 0.25 of each loss but the last, and wins one label.
BETTER: Scores = (
    [1.75, 0.75, 0.25, 1.25, 0.0, 2.75, 0.5, 1.25],
    [1, 1, 1, 0, 1, 0, 1, 1],
)
# Saves as much in all, most of it on one example: the paired test doubts that.
SCATTERED: Scores = (
    [2.5, 1.5, 1.0, 2.0, 0.75, 0.0, 0.0, 0.5],
    [1, 1, 1, 0, 1, 0, 1, 1],
)
WORSE: Scores = ([2.25, 1.5, 1.0, 1.5, 0.5, 3.5, 1.0, 1.25], [0, 1, 0, 0, 1, 0, 1, 1])
# The loss falls, a label is lost.
LOST: Scores = (
    [1.75, 0.75, 0.25, 1.25, 0.0, 2.75, 0.5, 1.25],
    [0, 1, 1, 0, 0, 0, 1, 1],
)


def _each_kind() -> Iterator[dict[str, Any]]:
    """Five models that every guard meets."""
    models = {
        "better": BETTER,
        "scattered": SCATTERED,
        "worse": WORSE,
        "loses a label": LOST,
        "the same": BEFORE,
    }
    for kind in KINDS:
        policy = Policy(guard=kind, epochs=5)
        for what, after in models.items():
            yield _vector(f"{kind}: {what}", policy, BEFORE, {(5, 1.0): after})


def _gates() -> Iterator[dict[str, Any]]:
    """What stops every guard before it compares anything, and in which order."""
    after = {(5, 1.0): BETTER}
    for kind in KINDS:
        policy = Policy(guard=kind, epochs=5)
        yield _vector(f"{kind}: no examples", policy, ([], []), {}, examples=0)
        yield _vector(f"{kind}: a loss became NaN", policy, BEFORE, after, finite=False)
        yield _vector(f"{kind}: one class", policy, BEFORE, after, distinct=1)
        yield _vector(
            f"{kind}: no examples, not finite, one class",
            policy,
            ([], []),
            {},
            examples=0,
            distinct=1,
            finite=False,
        )
        yield _vector(
            f"{kind}: one distinct label of a regression",
            policy,
            BEFORE,
            after,
            distinct=1,
            classes=False,
        )
        for count in (0, 1, 2, 3, 5):
            part = tuple(
                [values[:count] for values in told] for told in (BEFORE, BETTER)
            )
            yield _vector(
                f"{kind}: {count} judged",
                policy,
                part[0],
                {(5, 1.0): part[1]},
                examples=max(count, 1),
                distinct=2,
            )
    for least in (0, 1):
        policy = Policy(guard="hold-out", min_hold_out=least)
        yield _vector(f"none judged, min_hold_out {least}", policy, ([], []), {})
        for kind in ("hold-out", "paired", "sure"):
            yield _vector(
                f"{kind}: 1 judged, min_hold_out {least}, no standard error",
                dataclasses.replace(policy, guard=kind),
                ([2.0], [0]),
                {(5, 1.0): ([1.0], [1])},
            )
    always = Policy(guard="always", epochs=0)
    yield _vector("always: no epochs", always, ([], []), {})
    yield _vector("sure: no candidates", Policy(), BEFORE, {})


def _edges() -> Iterator[dict[str, Any]]:
    """NaN and Inf, margins at the edge, caution at the edge, parts of labels."""
    holds = Policy(guard="hold-out")
    for what, value in (("NaN", NAN), ("Inf", INF), ("-Inf", -INF)):
        losses = [value, *BETTER[0][1:]]
        yield _vector(
            f"a loss of {what} after", holds, BEFORE, {(5, 1.0): (losses, BETTER[1])}
        )
        yield _vector(
            f"a loss of {what} before",
            holds,
            ([value, *BEFORE[0][1:]], BEFORE[1]),
            {(5, 1.0): BETTER},
        )
        yield _vector(
            f"sure: one candidate has a loss of {what}, another is better",
            Policy(blends=(0.5, 1.0)),
            BEFORE,
            {(5, 0.5): BETTER, (5, 1.0): (losses, BETTER[1])},
        )
    yield _vector(
        "Inf before and after",
        holds,
        ([INF] * 4, [0] * 4),
        {(5, 1.0): ([INF] * 4, [1] * 4)},
    )
    # One of eight labels is won: a gain of 0.125.
    for margin in (-0.125, -0.0625, 0.0, 0.124, 0.125, 0.126):
        for what, after in (("better", BETTER), ("loses a label", LOST)):
            yield _vector(
                f"margin {margin}: {what}",
                dataclasses.replace(holds, margin=margin),
                BEFORE,
                {(5, 1.0): after},
            )
    # 0.1 of ten labels is one label, but 0.1 * 10 and sums of tenths round.
    tenths = ([1.0] * 10, [0.1] * 10), ([0.5] * 10, [0.2] * 10)
    for kind in ("hold-out", "sure"):
        yield _vector(
            f"{kind}: shares of a sequence that gain the margin but for rounding",
            Policy(guard=kind, margin=0.1),
            tenths[0],
            {(5, 1.0): tenths[1]},
        )
    thirds = ([1.0] * 3, [1 / 3, 2 / 3, 1.0]), ([0.5] * 3, [2 / 3, 1 / 3, 1.0])
    yield _vector(
        "shares of a sequence: won as much as lost",
        holds,
        thirds[0],
        {(5, 1.0): thirds[1]},
    )
    # Saved are 1 and 0 in turn: mean 0.5, standard error sqrt(2 / 7 / 8) = 0.18898.
    turns = ([1.0] * 8, [0] * 8), ([0.0, 1.0] * 4, [0] * 8)
    for kind in ("paired", "sure"):
        for caution in (0.0, 0.75, 2.6, 2.7, 100.0):
            yield _vector(
                f"{kind}: caution {caution}",
                Policy(guard=kind, caution=caution),
                turns[0],
                {(5, 1.0): turns[1]},
            )
    even = ([1.0] * 8, [1] * 8), ([0.5] * 8, [1] * 8)
    yield _vector(
        "sure: saves the same everywhere, a standard error of 0",
        Policy(caution=100.0),
        even[0],
        {(5, 1.0): even[1]},
    )
    for kind in ("hold-out", "sure"):
        yield _vector(
            f"{kind}: a regression has no labels to lose",
            Policy(guard=kind, margin=0.5),
            (BEFORE[0], [0] * 8),
            {(5, 1.0): (BETTER[0], [0] * 8)},
            classes=False,
        )


def _flips() -> Iterator[dict[str, Any]]:
    """The loss falls everywhere; labels are won and lost."""
    for won, lost in (
        (2, 2),
        (3, 3),
        (9, 7),
        (10, 6),
        (16, 9),
        (17, 8),
        (22, 14),
        (23, 13),
    ):
        before = [0.0] * won + [1.0] * (60 - won)
        after = [1.0] * won + [0.0] * lost + [1.0] * (60 - won - lost)
        for kind in ("hold-out", "paired", "sure"):
            yield _vector(
                f"{kind}: {won} of 60 labels won, {lost} lost",
                Policy(guard=kind),
                ([1.0] * 60, before),
                {(5, 1.0): ([0.5] * 60, after)},
            )


def _choices() -> Iterator[dict[str, Any]]:
    """Which of several candidates lives, ties among them, in any order of the file."""
    less = ([loss - 0.125 for loss in BEFORE[0]], BEFORE[1])
    several = {(5, 1.0): less, (3, 1.0): BETTER, (5, 0.5): BETTER, (3, 0.5): less}
    ties = {(5, 1.0): BETTER, (3, 1.0): BETTER, (5, 0.5): BETTER, (3, 0.5): BETTER}
    last = {(3, 0.5): BETTER, (3, 1.0): WORSE, (5, 0.5): less, (5, 1.0): LOST}
    for kind in KINDS:
        policy = Policy(guard=kind, epochs=5, blends=(0.5, 1.0))
        yield _vector(f"{kind}: the middle ones save more", policy, BEFORE, several)
        yield _vector(f"{kind}: all four are equal", policy, BEFORE, ties)
        yield _vector(
            f"{kind}: the half-way ones alone are better", policy, BEFORE, last
        )


def _drawn() -> Iterator[dict[str, Any]]:
    """Random evidence, for what nobody thought of."""
    random = np.random.default_rng(20)
    for number in range(60):
        kind = KINDS[number % len(KINDS)]
        policy = Policy(
            guard=kind,
            epochs=4,
            margin=float(random.choice([0.0, 0.02, -0.02])),
            blends=(0.25, 0.5, 1.0),
            caution=float(random.choice([0.0, 0.75, 1.5])),
        )
        count = int(random.integers(3, 13))
        # Most in steps of 1/256, which keeps the file short.
        places = 8 if number < 45 else 30
        before = (
            _stepped(random.gamma(2, 0.5, count), places),
            random.integers(0, 4, count) / 3,
        )
        candidates = {}
        for epochs in (2, 4):
            for blend in policy.blends:
                change = random.normal(0.1, 0.3, count) * blend
                after = _stepped(np.maximum(before[0] - change, 0), places)
                hits = np.clip(before[1] + random.integers(-1, 2, count) / 3, 0, 1)
                candidates[epochs, blend] = (after.tolist(), hits.tolist())
        initial = before[0].tolist(), before[1].tolist()
        yield _vector(
            f"drawn {number}: {kind}",
            policy,
            initial,
            candidates,
            examples=count,
            classes=number % 5 > 0,
        )


def _stepped(numbers: np.ndarray, places: int) -> np.ndarray:
    return np.round(numbers * 2.0**places) / 2.0**places
