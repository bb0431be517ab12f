"""The guard: from hold-out evidence to "keep" or "revert", with the reason.

Answers the open question of arXiv 1909.12488, section 4: find the clients that
personalization hurts and give them the initial model back.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.contract import Policy

# Rounding in accuracy + margin must not decide; one example of a million still does.
_ROUNDING = 1e-9


class Score(NamedTuple):
    """One model's result on the hold-out.

    Attributes:
        losses: log loss of each example, float32 [n].
        correct: share of its labels that are hit, 0..1, float32 [n].
    """

    losses: np.ndarray
    correct: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known when the guard decides.

    Attributes:
        initial: the initial model on the hold-out.
        personalized: the adapted model on the same examples.
        examples: how many examples it was adapted on.
        finite: whether the training loss stayed a finite number.
        classes: whether labels are classes, so that accuracy means something.
    """

    initial: Score
    personalized: Score
    examples: int
    finite: bool
    classes: bool = True

    @property
    def hold_out(self) -> int:
        """Number of hold-out examples."""
        return len(self.initial.losses)


class Decision(NamedTuple):
    """What becomes live: the personalized model (keep) or the initial one.

    Attributes:
        keep: whether the personalized model is kept.
        reason: one sentence for people, with the numbers.
    """

    keep: bool
    reason: str


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Keeps a personalized model only where the hold-out shows that it is better.

    Better means: accuracy has not fallen (and has gained the policy's margin), *and*
    the mean log loss is lower. Accuracy alone lets about twice as many hurt clients
    through on few examples, since it moves in steps of one example.
    """
    if evidence.examples == 0:
        return Decision(False, "there are no examples to adapt on")
    if not evidence.finite:
        return Decision(False, "the training loss became NaN or Inf while adapting")
    needed = max(policy.min_hold_out, 1)
    if evidence.hold_out < needed:
        return Decision(
            False,
            f"too few hold-out examples to judge by: there are {evidence.hold_out}, "
            f"the guard needs {needed}",
        )
    if not np.isfinite(evidence.personalized.losses).all():
        return Decision(False, "the personalized model's hold-out loss is NaN or Inf")
    return _compare(evidence, policy.margin)


def _compare(evidence: Evidence, margin: float) -> Decision:
    count = evidence.hold_out
    before = float(evidence.initial.correct.sum(dtype=np.float64))
    after = float(evidence.personalized.correct.sum(dtype=np.float64))
    loss_before = float(evidence.initial.losses.mean(dtype=np.float64))
    loss_after = float(evidence.personalized.losses.mean(dtype=np.float64))
    if not evidence.classes:
        loss = f"hold-out loss went from {loss_before:.4f} to {loss_after:.4f}"
        if loss_after < loss_before:
            return Decision(True, loss)
        return Decision(False, f"{loss}, which must fall")
    # Sequences count by the share of their labels that is hit.
    accuracy = (
        f"hold-out accuracy went from {before:.4g}/{count} to {after:.4g}/{count}"
    )
    loss = f"log loss from {loss_before:.4f} to {loss_after:.4f}"
    if after - before < margin * count - _ROUNDING * count:
        wanted = f"a gain of {margin:g} is needed" if margin else "it must not fall"
        return Decision(False, f"{accuracy}, {wanted}")
    if not loss_after < loss_before:
        return Decision(False, f"{accuracy}, but {loss}, which must fall")
    return Decision(True, f"{accuracy}, {loss}")
