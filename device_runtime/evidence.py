"""The guard's evidence: which examples judge, and models that did not train on them.

Every example judges once where a guard cross-validates: a quarter of the few that a
small client has says too little.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.contract import Policy


class Candidate(NamedTuple):
    """One way to personalize; theta is the initial model, theta_i the adapted one.

    Attributes:
        epochs: local epochs to theta_i.
        blend: lambda of theta + lambda (theta_i - theta), above 0, at most 1.
    """

    epochs: int
    blend: float


class Trial(NamedTuple):
    """One adaptation for evidence alone.

    Attributes:
        adapt: numbers of the examples to adapt on, int64, ascending.
        judge: numbers of those to judge on, likewise; none of the others.
    """

    adapt: np.ndarray
    judge: np.ndarray


class Score(NamedTuple):
    """A model's, or several models', result on the judged examples.

    Attributes:
        losses: log loss of each example, float32 [m].
        correct: share of its labels that are hit, 0..1, float32 [m].
    """

    losses: np.ndarray
    correct: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known when the guard decides.

    Attributes:
        initial: the initial model on all judged examples, trial after trial.
        candidates: each candidate on the same examples, every example judged by a
            model that did not train on it.
        examples: how many the final model is adapted on.
        distinct: number of distinct labels among them.
        finite: whether training losses and weights stayed finite numbers.
        classes: whether labels are classes, so that accuracy means something.
    """

    initial: Score
    candidates: dict[Candidate, Score]
    examples: int
    distinct: int
    finite: bool = True
    classes: bool = True

    @property
    def judged(self) -> int:
        """Number of judged examples."""
        return len(self.initial.losses)


def folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold of each example, int64 [n]: sizes, and each label's share, nearly equal.

    Args:
        labels: y [n, ...]; stratified if they are one integer an example.
        count: number of folds.
        seed: of who goes where.
    """
    order = np.random.default_rng((seed, 1)).permutation(len(labels))
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.zeros(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % count
    return fold


def trials_of(policy: Policy, labels: np.ndarray, seed: int) -> tuple[Trial, ...]:
    """The trials that a policy's guard asks for; none where nothing can be judged.

    A hold-out is one trial: the first of 1 / `hold_out` folds. The other guards have
    `folds` trials that judge every example once.

    Args:
        policy: of the artifact.
        labels: y [n, ...] of all examples.
        seed: of the folds.
    """
    few = len(labels) < max(policy.min_hold_out, 2)
    if few or policy.guard in ("always", "never") or one_class(labels):
        return ()
    if policy.guard == "hold-out":
        if not policy.hold_out > 0:
            return ()
        parts, count = 1, max(2, math.floor(1 / policy.hold_out + 0.5))
    else:
        parts = count = min(max(policy.folds, 2), len(labels))
    fold = folds(labels, count, seed)
    return tuple(
        Trial(np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        for k in range(min(parts, count))
    )


def trials_key(policy: Policy) -> tuple[str, float]:
    """Of policies that agree in it, `trials_of` gives the same trials."""
    if policy.guard in ("always", "never"):
        return ("none", 0)
    if policy.guard == "hold-out":
        return ("hold-out", policy.hold_out)
    return ("folds", policy.folds)


def one_class(labels: np.ndarray) -> bool:
    """Whether all examples have the same class."""
    return labels.dtype.kind in "iu" and distinct_labels(labels) == 1


def distinct_labels(labels: np.ndarray) -> int:
    """Number of distinct labels; -1 is no label."""
    found = np.unique(labels)
    return int((found >= 0).sum() if labels.dtype.kind in "iu" else len(found))
