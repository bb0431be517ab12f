"""The watch after the decision: has the live model become worse than the other one?

A CUSUM of bets. A bet gains where the model that is not live would have done better,
loses where it would have done worse, and is made anew whenever nothing of it is left,
so that old outcomes are forgotten. As long as the live model is not worse, a bet gains
nothing on average, whatever the outcomes depend on, and wealth W comes up at most once
in W outcomes on average: Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (arXiv 2010.09686); Shin, Ramdas and Rinaldo, "E-detectors"
(arXiv 2203.03532). Plain loops in float64, so that other hosts decide the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

from fedp.device_runtime.errors import DataError, FedpError
from fedp.device_runtime.plain_sum import plain_sum

# What is staked: small stakes find small losses, great ones find great losses soon.
_STAKES = (0.1, 0.3, 0.6, 0.9)
# A miss that hardly ever happens to the initial model pays at most this; without a
# limit, two misses could decide.
_MOST_PAID = 3.0
_MOST_EVIDENCE = 1e100


class OutcomePair(NamedTuple):
    """What became of one answer, 0..1: the share of its labels that was hit.

    Attributes:
        personalized: of the personalized model; None if it was not asked.
        initial: of the initial model; None if it was not asked.
    """

    personalized: float | None
    initial: float | None


class Expected(NamedTuple):
    """How good the guard found the initial model, for outcomes that do not ask it.

    Attributes:
        hits: labels that it hit on the guard's evidence, a sum of shares.
        examples: how many examples that evidence had; 0 if there was none.
    """

    hits: float
    examples: int

    def at_least(self, caution: float) -> float:
        """Its accuracy less `caution` standard errors: Wilson's lower bound, 0..1."""
        if not self.examples:
            return 0.0
        share, square = self.hits / self.examples, caution**2 / self.examples
        half = math.sqrt(share * (1 - share) * square + square**2 / 4)
        return max((share + square / 2 - half) / (1 + square), 0.0)


@dataclasses.dataclass(frozen=True)
class WatchPolicy:
    """When to take back a personalized model, and when to give it again.

    Attributes:
        revert_evidence: wealth at which a live personalized model is reverted. One that
            is no worse is reverted once in so many outcomes at most, on average.
        restore_evidence: wealth at which a reverted one comes back, likewise; None: a
            revert stands until the next personalization. More than `revert_evidence`.
        caution: standard errors by which the guard's accuracy of the initial model is
            lowered, where an outcome does not ask that model.
    """

    revert_evidence: float = 1000.0
    restore_evidence: float | None = 10_000.0
    caution: float = 1.65

    def __post_init__(self) -> None:
        """Refuses thresholds that would let the live model flap."""
        revert, restore = self.revert_evidence, self.restore_evidence
        if not 10 <= revert <= _MOST_EVIDENCE:
            raise FedpError(f"revert_evidence of {revert}: give 10 to 1e100")
        if restore is not None and not revert <= restore <= _MOST_EVIDENCE:
            raise FedpError(
                f"restore_evidence of {restore}: give {revert:g} (revert_evidence) to "
                "1e100, or None"
            )
        if not 0 <= self.caution < math.inf:
            raise FedpError(f"caution of {self.caution}: give 0 or more")


class Verdict(NamedTuple):
    """What the outcomes say.

    Attributes:
        reverted: whether the initial model is to be live.
        changed: whether this differs from what was live before.
        evidence: wealth of the bets that the other model is the better one, 1 or more.
        reason: one sentence for people, with the numbers.
    """

    reverted: bool
    changed: bool
    evidence: float
    reason: str


@dataclasses.dataclass
class _Bet:
    """One stake's wealth, and the outcomes since it was last made anew."""

    stake: float
    wealth: float = 1.0
    outcomes: int = 0
    personalized: float = 0.0
    initial: float = 0.0

    def follow(self, payoff: float, personalized: float, initial: float) -> None:
        self.wealth *= 1 + self.stake * payoff
        if self.wealth <= 1:
            self.wealth, self.outcomes, self.personalized, self.initial = 1, 0, 0, 0
            return
        self.outcomes += 1
        self.personalized += personalized
        self.initial += initial


class Watch:
    """Follows outcomes one by one; see `verdict` for all at once.

    Attributes:
        reverted: whether the initial model is to be live.
    """

    def __init__(
        self,
        expected: Expected | None = None,
        policy: WatchPolicy | None = None,
        *,
        reverted: bool = False,
    ) -> None:
        """Starts without any evidence.

        Args:
            expected: the guard's evidence on the initial model; without it, outcomes
                that do not ask that model say nothing.
            policy: when to revert and to restore.
            reverted: whether the personalized model was reverted before.
        """
        self.reverted = reverted
        self._policy = policy or WatchPolicy()
        self._least = expected.at_least(self._policy.caution) if expected else 0.0
        self._bets = [_Bet(stake) for stake in _STAKES]
        self._guessed = False

    def add(self, outcome: OutcomePair) -> Verdict:
        """Follows one more outcome; after a change all evidence starts anew.

        Raises:
            DataError: a share is no number from 0 to 1.
        """
        self._follow(outcome)
        found = self.verdict()
        if found.changed:
            self.reverted = found.reverted
            self._bets = [_Bet(stake) for stake in _STAKES]
            self._guessed = False
        return found

    def verdict(self) -> Verdict:
        """What the outcomes so far say; `changed` is False once `add` has said so."""
        policy = self._policy
        needed = policy.restore_evidence if self.reverted else policy.revert_evidence
        evidence = plain_sum(bet.wealth for bet in self._bets) / len(self._bets)
        if needed is None:
            reason = "a revert stands until the next personalization"
            return Verdict(True, False, evidence, reason)
        changed = evidence >= needed
        live, other = "personalized", "initial"
        if self.reverted:
            live, other = other, live
        found = (
            f"the {live} model has become worse than the {other} one"
            if changed
            else f"the {live} model stays"
        )
        reason = f"{found}: {self._told()}evidence {evidence:.4g}, needed {needed:g}"
        return Verdict(self.reverted != changed, changed, evidence, reason)

    def _follow(self, outcome: OutcomePair) -> None:
        personalized, initial = outcome
        _check(personalized)
        _check(initial)
        if personalized is None or (self.reverted and initial is None):
            return
        if self.reverted and self._policy.restore_evidence is None:
            return
        if initial is None:
            if not self._least:
                return
            payoff = payoff_without(personalized, self._least)
            initial, self._guessed = self._least, True
        else:
            payoff = initial - personalized
        for bet in self._bets:
            bet.follow(-payoff if self.reverted else payoff, personalized, initial)

    def _told(self) -> str:
        """The outcomes behind the best bet."""
        best = max(self._bets, key=lambda bet: bet.wealth)
        if not best.outcomes:
            return ""
        expected = "was to hit at least" if self._guessed else "hit"
        return (
            f"of the last {best.outcomes} outcomes the personalized one hit "
            f"{best.personalized:.4g}, the initial one {expected} {best.initial:.4g}; "
        )


def payoff_without(personalized: float, least: float) -> float:
    """What a bet gains if the initial model was not asked, -1 to `_MOST_PAID`.

    It is at most 0 on average for a model that hits `least` or more of its labels.

    Args:
        personalized: share of labels that it hit.
        least: accuracy that the initial model surely has, above 0.
    """
    return (least - personalized) / max(1 - least, least / _MOST_PAID)


def verdict(
    outcomes: Iterable[OutcomePair],
    expected: Expected | None = None,
    policy: WatchPolicy | None = None,
    *,
    reverted: bool = False,
) -> Verdict:
    """What to serve after these outcomes.

    Args:
        outcomes: since the generation went live, or since the last change; the oldest
            may be missing.
        expected: see `Watch`.
        policy: see `Watch`.
        reverted: what was live before the first of them.

    Returns:
        The verdict after the last; `changed` compares with `reverted`, and then the
        reason is that of the change.

    Raises:
        DataError: a share is no number from 0 to 1.
    """
    watch = Watch(expected, policy, reverted=reverted)
    change = None
    for outcome in outcomes:
        found = watch.add(outcome)
        change = found if found.changed else change
    if change and watch.reverted != reverted:
        return change
    return watch.verdict()


def _check(share: float | None) -> None:
    if share is not None and not 0 <= share <= 1:
        raise DataError(f"outcome {share}: give the share of labels that is hit, 0..1")
