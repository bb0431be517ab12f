"""Means with intervals that assume no distribution: Efron's percentile bootstrap, 1979.

What is drawn again are clients, each with all its values: so differences are paired.
"""

from __future__ import annotations

import numpy as np

from fedp.training.evaluation.intervals import Mean

DRAWS = 2000


def bootstrap_means(values: np.ndarray, seed: int = 0) -> list[Mean]:
    """Averages over clients, with 95 % intervals.

    Args:
        values: float64 [n, k], k values of each of n clients; n is at least 1.
        seed: of the clients drawn.

    Returns:
        k means.
    """
    count = len(values)
    means = values.mean(axis=0)
    if count == 1:
        return [Mean(float(value), None, None, None) for value in means]
    random = np.random.default_rng(seed)
    drawn = np.stack(
        [values[random.integers(0, count, count)].mean(axis=0) for _ in range(DRAWS)]
    )
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    errors = drawn.std(axis=0, ddof=1)
    return [
        Mean(float(m), float(e), float(a), float(b))
        for m, e, a, b in zip(means, errors, low, high, strict=True)
    ]
