"""What the watch for drift does to models that stay good, and how soon to bad ones.

    python benchmarks/drift.py [--runs 400] [--evidence 1000] [--caution 1.65]

Simulated outcomes: the initial model hits 80 %, and half of all examples are hard or
easy for both models alike. Feedback alone is compared with what the guard saw of the
initial model on 40 or on 400 examples, drawn anew in each run. It exits with 1 if the
defaults revert more good models than docs/watch.md says.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np

from fedp.device_runtime.watch import Expected, OutcomePair, Watch, WatchPolicy

_INITIAL = 0.8
_ALIKE = 0.5
_HORIZON = 1000
_LONGEST = 3000
_GAINS = (0.0, 0.02, 0.05, 0.1)
_LOSSES = (0.05, 0.1, 0.3, 0.6)
_GOOD_FIRST = (0, 100, 500)
_GOOD_GAIN = 0.1
_KINDS: dict[str, int | None] = {
    "both models": None,
    "feedback, 40": 40,
    "feedback, 400": 400,
}
# Share of runs, of a model exactly as good as the initial one.
_MOST_FALSE = {"both models": 0.04, "feedback, 40": 0.06, "feedback, 400": 0.06}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="of each cell")
    parser.add_argument("--evidence", type=float, default=1000.0)
    parser.add_argument("--caution", type=float, default=1.65)
    given = parser.parse_args()
    policy = WatchPolicy(given.evidence, None, given.caution)
    random = np.random.default_rng(0)
    faults = []
    print(f"reverted within {_HORIZON:,} outcomes, of {given.runs} models each\n")
    print("| outcomes | " + " | ".join(f"better by {g:.0%}" for g in _GAINS) + " |")
    print("|---|" + "---|" * len(_GAINS))
    for kind, judged in _KINDS.items():
        shares = [
            np.mean(
                [
                    run(random, policy, judged, [(_HORIZON, gain)]) is not None
                    for _ in range(given.runs)
                ]
            )
            for gain in _GAINS
        ]
        if shares[0] > _MOST_FALSE[kind]:
            faults.append(f"{kind}: {shares[0]:.1%} of equal models are reverted")
        print(f"| {kind} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    print("\noutcomes from the drift to the revert: median, and nine in ten\n")
    print(
        "| outcomes | good ones first | "
        + " | ".join(f"worse by {loss:.0%}" for loss in _LOSSES)
        + " |"
    )
    print("|---|---|" + "---|" * len(_LOSSES))
    for kind, judged in _KINDS.items():
        for good in _GOOD_FIRST:
            cells = [
                delay(random, policy, judged, good, loss, given.runs // 2)
                for loss in _LOSSES
            ]
            print(f"| {kind} | {good} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{1e6 * cost(policy):.1f} microseconds an outcome")
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def delay(
    random: np.random.Generator,
    policy: WatchPolicy,
    judged: int | None,
    good: int,
    loss: float,
    runs: int,
) -> str:
    """The median and the ninth decile of those not reverted before the drift."""
    phases = [(good, _GOOD_GAIN), (_LONGEST, -loss)]
    found = [run(random, policy, judged, phases) for _ in range(runs)]
    delays = [_LONGEST + 1 if n is None else n - good for n in found]
    late = [n for n in delays if n > 0]
    return ", ".join(
        f"{value:.0f}" if value <= _LONGEST else f"> {_LONGEST}"
        for value in np.quantile(late, (0.5, 0.9), method="higher")
    )


def run(
    random: np.random.Generator,
    policy: WatchPolicy,
    judged: int | None,
    phases: list[tuple[int, float]],
) -> int | None:
    """After how many outcomes the watch reverts; None if it never does.

    Args:
        random: draws the outcomes and the guard's evidence.
        policy: of the watch.
        judged: examples of that evidence; None where both models are asked.
        phases: outcomes, and by how much the personalized model is better in them.
    """
    expected = None
    if judged is not None:
        expected = Expected(float(random.binomial(judged, _INITIAL)), judged)
    watch = Watch(expected, policy)
    number = 0
    for count, gain in phases:
        for pair in outcomes(random, count, gain):
            number += 1
            asked = pair if judged is None else pair._replace(initial=None)
            if watch.add(asked).changed:
                return number
    return None


def outcomes(
    random: np.random.Generator, count: int, gain: float
) -> Iterator[OutcomePair]:
    """Outcomes of an initial model, and of one better by `gain`."""
    hardness = random.random(count)
    alike = random.random(count) < _ALIKE
    own = np.where(alike, hardness, random.random(count))
    initial = hardness < _INITIAL
    personalized = own < _INITIAL + gain
    pairs = zip(personalized.tolist(), initial.tolist(), strict=True)
    return (OutcomePair(float(after), float(before)) for after, before in pairs)


def cost(policy: WatchPolicy) -> float:
    """Seconds that one outcome takes."""
    pairs = list(outcomes(np.random.default_rng(1), 20_000, 0.0))
    watch = Watch(None, policy)
    started = time.perf_counter()
    for pair in pairs:
        watch.add(pair)
    return (time.perf_counter() - started) / len(pairs)


if __name__ == "__main__":
    sys.exit(main())
