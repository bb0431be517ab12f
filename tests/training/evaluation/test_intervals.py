import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.training.evaluation.intervals import Z95, mean, share


def test_mean_of_three_by_hand():
    # Mean 0.6; deviations -0.1, 0, 0.1; variance 0.02 / 2 = 0.01; 0.1 / sqrt(3).
    result = mean([0.5, 0.6, 0.7])
    assert result.value == pytest.approx(0.6)
    assert result.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert result.low == pytest.approx(0.6 - Z95 * 0.1 / math.sqrt(3))
    assert result.high == pytest.approx(0.6 + Z95 * 0.1 / math.sqrt(3))


def test_a_single_client_has_no_interval():
    result = mean([0.25])
    assert (result.value, result.standard_error, result.low, result.high) == (
        0.25,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # 0 of n: [0, z^2 / (n + z^2)] = [0, 3.8415 / 13.8415].
        (0, 10, 0.0, 0.27753),
        # p = 1/2: 0.5 +- z sqrt(1/40 + z^2/400) / (1 + z^2/10) = 0.5 +- 0.26341.
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
    ],
)
def test_wilson_interval_by_hand(count, of, low, high):
    result = share(count, of)
    assert result.share == count / of
    assert result.low == pytest.approx(low, abs=2e-5)
    assert result.high == pytest.approx(high, abs=2e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_in_range(pair):
    result = share(*pair)
    assert 0 <= result.low <= result.share <= result.high <= 1


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_are_where_the_score_test_turns(pair):
    # Definition: p is in the interval iff (share - p)^2 <= z^2 p (1 - p) / n.
    count, of = pair
    result = share(count, of)
    for end in {result.low, result.high} - {0.0, 1.0}:
        assert (result.share - end) ** 2 == pytest.approx(Z95**2 * end * (1 - end) / of)
