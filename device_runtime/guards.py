"""The guards: from evidence to what becomes live, with the reason.

Answers the open question of arXiv 1909.12488, section 4: find the clients that
personalization hurts and give them the initial model back. What each guard is worth is
in docs/guard.md. Plain loops in float64, so that other hosts decide the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate, Evidence, Score

# Rounding in sums of shares must not decide; one example of a million still does.
_ROUNDING = 1e-9
# Of the guard "sure", chosen on validation clients: see docs/guard.md.
_FLIP_CAUTION = 2.5
_IMAGINED_WINS = 5


class Decision(NamedTuple):
    """What becomes live: theta + blend (theta_i - theta), adapted on all examples.

    Attributes:
        epochs: local epochs to theta_i; 0 where the initial model stays.
        blend: 0..1; 0 is the initial model.
        reason: one sentence for people, with the numbers.
    """

    epochs: int
    blend: float
    reason: str

    @property
    def keep(self) -> bool:
        """Whether a personalized model goes live."""
        return self.blend > 0


class _Gain(NamedTuple):
    """A candidate against the initial model on the judged examples.

    Attributes:
        candidate: which one.
        loss: mean of the log loss it saves.
        error: standard error of that mean; infinite for a single example.
        net: labels won minus labels lost.
        flips: labels won plus labels lost.
    """

    candidate: Candidate
    loss: float
    error: float
    net: float
    flips: float


def candidates_of(policy: Policy) -> tuple[Candidate, ...]:
    """What a policy's guard wants judged, by ascending epochs, then blend."""
    kind = _KINDS[policy.guard]
    stops = [policy.epochs] if policy.epochs else []
    if kind.stops and policy.epochs > 1:
        stops.insert(0, (policy.epochs + 1) // 2)
    blends = sorted(policy.blends) if kind.blends else [1.0]
    return tuple(Candidate(epochs, blend) for epochs in stops for blend in blends)


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Lets a personalized model live only where the evidence shows that it is better.

    With no examples or non-finite training the initial model stays, whatever the
    guard; with a single class or too few judged examples, whatever guard judges.
    """
    kind = _KINDS[policy.guard]
    if policy.guard == "never":
        return _revert("the policy never personalizes")
    if evidence.examples == 0:
        return _revert("there are no examples to adapt on")
    if not evidence.finite:
        return _revert("the training loss became NaN or Inf while adapting")
    if policy.guard == "always":
        return Decision(policy.epochs, 1.0, "the policy always personalizes")
    if evidence.classes and evidence.distinct == 1:
        return _revert(
            "all examples have one label: they cannot show what is forgotten"
        )
    needed = max(policy.min_hold_out, 1)
    if evidence.judged < needed:
        return _revert(
            f"too few examples to judge by: there are {evidence.judged}, the guard "
            f"needs {needed}"
        )
    gains = list(_gains(evidence))
    if not gains:
        return _revert("no personalized model has a finite loss")
    passed = [gain for gain in gains if kind.passes(gain, evidence, policy)]
    if not passed:
        best = max(gains, key=lambda gain: gain.loss)
        return _revert(f"nothing is surely better: {_told(best, evidence)}")
    # Of equals the first: fewer epochs, the smaller blend.
    best = max(passed, key=kind.rank)
    return Decision(*best.candidate, _told(best, evidence))


def _any_gain(gain: _Gain, evidence: Evidence, policy: Policy) -> bool:
    """The loss falls, and accuracy gains the margin."""
    if not gain.loss > 0:
        return False
    judged = evidence.judged
    wanted = policy.margin * judged - _ROUNDING * judged
    return not evidence.classes or gain.net >= wanted


def _sure_loss(gain: _Gain, evidence: Evidence, policy: Policy) -> bool:
    """The paired test: the loss falls by more than `caution` standard errors."""
    return gain.loss > 0 and gain.loss > policy.caution * gain.error


def _sure(gain: _Gain, evidence: Evidence, policy: Policy) -> bool:
    """The paired test and the margin, and more labels won than chance would give.

    Wins less losses, with some wins imagined, must reach some standard errors of as
    many coins as labels flipped. So few flips need only not to lose; where a client has
    many examples, hence many flips, the gain must be beyond doubt.
    """
    if not _sure_loss(gain, evidence, policy) or not _any_gain(gain, evidence, policy):
        return False
    doubt = _FLIP_CAUTION * math.sqrt(gain.flips)
    return not evidence.classes or gain.net + _IMAGINED_WINS >= doubt - _ROUNDING


def _least_loss(gain: _Gain) -> tuple[float, ...]:
    return (gain.loss,)


def _most_adapted(gain: _Gain) -> tuple[float, ...]:
    """Log loss likes half-way models, accuracy does not: take the whole step."""
    return (gain.candidate.blend,)


class _Kind(NamedTuple):
    """A guard: which candidates it has judged, and which of them pass.

    Attributes:
        passes: whether a candidate may live.
        rank: which of those that pass does: the highest.
        stops: whether fewer epochs are candidates too.
        blends: whether the policy's blends are, or 1 alone.
    """

    passes: Callable[[_Gain, Evidence, Policy], bool]
    rank: Callable[[_Gain], tuple[float, ...]]
    stops: bool
    blends: bool


_KINDS = {
    "always": _Kind(_any_gain, _least_loss, stops=False, blends=False),
    "never": _Kind(_any_gain, _least_loss, stops=False, blends=False),
    "hold-out": _Kind(_any_gain, _least_loss, stops=False, blends=False),
    "paired": _Kind(_sure_loss, _least_loss, stops=False, blends=False),
    "cross-validation": _Kind(_any_gain, _least_loss, stops=True, blends=False),
    "blend": _Kind(_any_gain, _least_loss, stops=False, blends=True),
    "sure": _Kind(_sure, _most_adapted, stops=False, blends=True),
}


def _gains(evidence: Evidence) -> Iterator[_Gain]:
    """Of each candidate whose losses are finite, in ascending order."""
    for candidate in sorted(evidence.candidates):
        gain = _gain(candidate, evidence.initial, evidence.candidates[candidate])
        if math.isfinite(gain.loss):
            yield gain


def _gain(candidate: Candidate, before: Score, after: Score) -> _Gain:
    pairs = zip(before.losses.tolist(), after.losses.tolist(), strict=True)
    saved = [old - new for old, new in pairs]
    count = len(saved)
    mean = sum(saved) / count
    squares = sum((value - mean) ** 2 for value in saved)
    error = math.sqrt(squares / (count - 1) / count) if count > 1 else math.inf
    won = lost = 0.0
    for old, new in zip(before.correct.tolist(), after.correct.tolist(), strict=True):
        won += max(new - old, 0.0)
        lost += max(old - new, 0.0)
    return _Gain(candidate, mean, error, won - lost, won + lost)


def _told(gain: _Gain, evidence: Evidence) -> str:
    epochs, blend = gain.candidate
    before = sum(evidence.initial.correct.tolist())
    moves = "falls" if gain.loss >= 0 else "rises"
    name = "log loss" if evidence.classes else "loss"
    loss = f"{name} {moves} by {abs(gain.loss):.4f} +- {gain.error:.4f}"
    hits = f", {before:.4g}/{evidence.judged} labels hit become {before + gain.net:.4g}"
    where = f"after {epochs} epochs at blend {blend:g}, on {evidence.judged} examples"
    return f"{where}, {loss}{hits if evidence.classes else ''}"


def _revert(reason: str) -> Decision:
    return Decision(0, 0.0, reason)
