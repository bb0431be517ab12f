import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.guard import Evidence, Score, decide

from .conftest import needs_subnormals

POLICY = Policy(min_hold_out=3, margin=0.0)


def score(correct: list[int], loss: float) -> Score:
    return Score(np.full(len(correct), loss, np.float32), np.array(correct, bool))


def evidence(before: Score, after: Score, examples: int = 20) -> Evidence:
    return Evidence(before, after, examples, finite=True)


@pytest.mark.parametrize(
    ("before", "after", "keep", "reason"),
    [
        (
            score([1, 0, 0], 2.0),
            score([1, 1, 0], 1.5),
            True,
            "hold-out accuracy went from 1/3 to 2/3, log loss from 2.0000 to 1.5000",
        ),
        (
            score([1, 0, 0], 2.0),
            score([0, 1, 0], 1.5),
            True,
            "hold-out accuracy went from 1/3 to 1/3, log loss from 2.0000 to 1.5000",
        ),
        (
            score([1, 1, 0], 2.0),
            score([1, 0, 0], 1.5),
            False,
            "hold-out accuracy went from 2/3 to 1/3, it must not fall",
        ),
        (
            score([1, 0, 0], 2.0),
            score([1, 1, 1], 2.5),
            False,
            "hold-out accuracy went from 1/3 to 3/3, but log loss from 2.0000 to "
            "2.5000, which must fall",
        ),
        (
            score([1, 0, 0], 2.0),
            score([1, 0, 0], 2.0),
            False,
            "hold-out accuracy went from 1/3 to 1/3, but log loss from 2.0000 to "
            "2.0000, which must fall",
        ),
    ],
)
def test_rule(before: Score, after: Score, keep: bool, reason: str) -> None:
    assert decide(evidence(before, after), POLICY) == (keep, reason)


@pytest.mark.parametrize("hold_out", [0, 1, 2])
def test_too_few_hold_out_examples(hold_out: int) -> None:
    before, after = score([0] * hold_out, 2.0), score([1] * hold_out, 0.1)
    decision = decide(evidence(before, after), POLICY)
    assert decision == (
        False,
        f"too few hold-out examples to judge by: there are {hold_out}, "
        "the guard needs 3",
    )


def test_no_hold_out_is_never_enough() -> None:
    none = score([], 0.0)
    policy = dataclasses.replace(POLICY, min_hold_out=0)
    assert not decide(evidence(none, none), policy).keep


def test_no_examples() -> None:
    decision = decide(evidence(score([], 0), score([], 0), examples=0), POLICY)
    assert decision == (False, "there are no examples to adapt on")


def test_training_loss_not_finite() -> None:
    good = evidence(score([0, 0, 0], 2.0), score([1, 1, 1], 0.1))
    decision = decide(dataclasses.replace(good, finite=False), POLICY)
    assert decision == (False, "the training loss became NaN or Inf while adapting")


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_hold_out_loss_not_finite(loss: float) -> None:
    after = Score(np.array([0.1, loss, 0.1], np.float32), np.ones(3, bool))
    decision = decide(evidence(score([0, 0, 0], 2.0), after), POLICY)
    assert decision == (False, "the personalized model's hold-out loss is NaN or Inf")


def test_margin_is_met_exactly() -> None:
    # 2/10 + 0.1 is 0.30000000000000004 in floating point; 3/10 must be enough.
    policy = dataclasses.replace(POLICY, margin=0.1)
    before = score([1] * 2 + [0] * 8, 2.0)
    assert decide(evidence(before, score([1] * 3 + [0] * 7, 1.0)), policy).keep
    assert not decide(evidence(before, before._replace()), policy).keep


@st.composite
def scores(draw: st.DrawFn) -> tuple[Score, Score]:
    count = draw(st.integers(0, 12))
    # A log loss is 0 or more; damaged models give NaN or Inf.
    numbers = st.floats(0, width=32) | st.just(np.nan)
    losses = hnp.arrays(np.float32, count, elements=numbers)
    correct = hnp.arrays(bool, count)
    return Score(draw(losses), draw(correct)), Score(draw(losses), draw(correct))


@needs_subnormals
@given(
    pair=scores(),
    examples=st.integers(0, 50),
    finite=st.booleans(),
    min_hold_out=st.integers(0, 6),
    margin=st.floats(0, 1),
)
def test_keeps_only_what_is_better(
    pair: tuple[Score, Score],
    examples: int,
    finite: bool,
    min_hold_out: int,
    margin: float,
) -> None:
    before, after = pair
    policy = Policy(min_hold_out=min_hold_out, margin=margin)
    decision = decide(Evidence(before, after, examples, finite), policy)
    assert "\n" not in decision.reason and decision.reason
    if decision.keep:
        assert finite and examples > 0
        assert len(before.losses) >= max(min_hold_out, 1)
        assert after.correct.mean() >= before.correct.mean() + margin - 1e-6
        assert np.mean(after.losses, dtype=np.float64) < np.mean(
            before.losses, dtype=np.float64
        )


@needs_subnormals
@given(pair=scores(), examples=st.integers(1, 50))
def test_swapped_models_are_never_both_kept(
    pair: tuple[Score, Score], examples: int
) -> None:
    before, after = pair
    there = decide(Evidence(before, after, examples, True), POLICY)
    back = decide(Evidence(after, before, examples, True), POLICY)
    assert not (there.keep and back.keep)


def test_a_regression_is_judged_by_its_loss_alone() -> None:
    low, high = (
        Score(np.full(4, loss, np.float32), np.zeros(4, np.float32))
        for loss in (0.25, 0.5)
    )
    better = decide(Evidence(high, low, 8, True, classes=False), POLICY)
    worse = decide(Evidence(low, high, 8, True, classes=False), POLICY)
    assert better == (True, "hold-out loss went from 0.5000 to 0.2500")
    assert worse == (
        False,
        "hold-out loss went from 0.2500 to 0.5000, which must fall",
    )


def test_sequences_count_by_the_share_of_labels_hit() -> None:
    losses = np.array([0.5, 0.5, 0.5], np.float32)
    before = Score(losses, np.array([0.5, 0.25, 0.25], np.float32))
    after = Score(losses / 2, np.array([0.5, 0.5, 0.25], np.float32))
    decision = decide(Evidence(before, after, 8, True), POLICY)
    assert decision.keep and "went from 1/3 to 1.25/3" in decision.reason
