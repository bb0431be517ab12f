import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.training.evaluation.calibration import Bins, CalibrationSum, bins_of


def test_answers_are_counted_by_their_confidence():
    # Confidences 0.75 (right), 0.75 (wrong), 0.5 (right) and one without a label.
    rows = [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.9, 0.1]]
    bins = bins_of(np.array(rows, np.float32), np.array([0, 0, 0, -1]))
    assert bins.counts == (0, 0, 0, 0, 1, 0, 0, 2, 0, 0)  # 0.5 is in (0.4, 0.5]
    assert bins.hits == (0, 0, 0, 0, 1, 0, 0, 1, 0, 0)
    assert bins.confidences == (0, 0, 0, 0, 0.5, 0, 0, 1.5, 0, 0)


def test_the_expected_calibration_error_weighs_bins_by_their_answers():
    total = CalibrationSum()
    total.add(Bins((0,) * 9 + (3,), (0,) * 9 + (2,), (0.0,) * 9 + (2.9,)))
    total.add(Bins((0, 1) + (0,) * 8, (0, 1) + (0,) * 8, (0.0, 0.2) + (0.0,) * 8))
    found = total.result()
    assert found.accuracy[9] == pytest.approx(2 / 3)
    assert found.confidence[1] == pytest.approx(0.2)
    assert found.accuracy[0] is None
    # 3/4 |2/3 - 2.9/3| + 1/4 |1 - 0.2|
    assert found.error == pytest.approx(0.75 * 0.3 + 0.25 * 0.8)
    assert CalibrationSum().result().error is None


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_no_answer_is_lost_or_counted_twice(seed, count):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 3, 4)) * 4
    rows = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)
    y = random.integers(-1, 4, (count, 3))
    bins = bins_of(rows, y)
    assert sum(bins.counts) == (y >= 0).sum()
    assert sum(bins.hits) == (rows.argmax(-1) == y).sum()
    assert sum(bins.confidences) == pytest.approx(rows.max(-1)[y >= 0].sum(), abs=1e-3)


def test_an_answer_that_is_no_number_is_one_without_confidence():
    bins = bins_of(np.full((2, 3), np.nan, np.float32), np.array([0, 1]))
    assert bins.counts[0] == 2 and bins.confidences == (0.0,) * 10
