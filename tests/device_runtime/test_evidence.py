import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import distinct_labels, folds, one_class, trials_of
from fedp.device_runtime.manifest_check import KINDS

from .conftest import needs_subnormals

CROSS_VALIDATING = [k for k in KINDS if k not in ("always", "never", "hold-out")]
labels = hnp.arrays(np.int32, st.integers(0, 60), elements=st.integers(0, 5))


@needs_subnormals
@given(labels, st.sampled_from(CROSS_VALIDATING), st.integers(2, 10), st.integers(0, 9))
def test_every_example_is_judged_once_by_a_model_that_did_not_train_on_it(
    y, guard, count, seed
):
    trials = trials_of(Policy(guard=guard, folds=count), y, seed)
    if len(y) < 3 or one_class(y):
        assert trials == ()
        return
    assert len(trials) == min(count, len(y))
    judged = np.concatenate([trial.judge for trial in trials])
    assert sorted(judged) == list(range(len(y)))
    for trial in trials:
        both = np.concatenate([trial.adapt, trial.judge])
        assert sorted(both) == list(range(len(y)))  # so none is in both
        assert len(trial.adapt) > 0 and len(trial.judge) > 0
        assert (np.diff(trial.adapt) > 0).all() and (np.diff(trial.judge) > 0).all()


@needs_subnormals
@given(labels, st.integers(2, 10), st.integers(0, 9))
def test_folds_share_examples_and_labels_nearly_equally(y, count, seed):
    fold = folds(y, count, seed)
    sizes = np.bincount(fold, minlength=count)
    assert sizes.max() - sizes.min() <= 1
    for label in np.unique(y):
        share = np.bincount(fold[y == label], minlength=count)
        assert share.max() - share.min() <= 1


def test_folds_follow_the_seed_alone():
    y = np.arange(40) % 4
    assert (folds(y, 4, seed=1) == folds(y, 4, seed=1)).all()
    assert (folds(y, 4, seed=1) != folds(y, 4, seed=2)).any()


def test_sequences_and_numbers_are_not_stratified():
    tokens = np.arange(36, dtype=np.int32).reshape(12, 3) % 5
    for y in (tokens, np.zeros(12, np.float32)):
        assert np.bincount(folds(y, 4, seed=0)).tolist() == [3, 3, 3, 3]
        assert not one_class(y)
        assert len(trials_of(Policy(), y, seed=0)) == 4
    # -1 is no label.
    assert one_class(np.where(tokens == 2, 2, -1)) and distinct_labels(tokens) == 5


@pytest.mark.parametrize("guard", KINDS)
@pytest.mark.parametrize(
    ("y", "hold_out", "cross_validation"),
    [
        ([], [], []),
        ([1], [], []),
        ([1, 2], [], []),  # Fewer than min_hold_out: nothing is worth its time.
        ([1, 2, 1], [1], [1, 1, 1]),
        ([1, 2, 1, 2, 2], [2], [2, 1, 1, 1]),
        ([3] * 40, [], []),  # One class.
        ([1, 2] * 10, [5], [5, 5, 5, 5]),
    ],
)
def test_how_many_judge_in_each_trial(guard, y, hold_out, cross_validation):
    expected = {"always": [], "never": [], "hold-out": hold_out}
    trials = trials_of(Policy(guard=guard), np.array(y, np.int32), seed=0)
    sizes = [len(trial.judge) for trial in trials]
    assert sizes == expected.get(guard, cross_validation)


def test_a_hold_out_of_nothing_has_no_trial():
    policy = Policy(guard="hold-out", hold_out=0.0)
    assert trials_of(policy, np.arange(20) % 3, seed=0) == ()


@pytest.mark.parametrize(("share", "held"), [(0.5, 10), (0.2, 4), (0.1, 2)])
def test_the_share_that_is_held_out(share, held):
    policy = dataclasses.replace(Policy(guard="hold-out"), hold_out=share)
    (trial,) = trials_of(policy, np.arange(20) % 2, seed=3)
    assert (len(trial.judge), len(trial.adapt)) == (held, 20 - held)
