"""A mean over clients, and a share of clients, each with its 95 % interval.

Means: mean +- 1.96 standard errors. Shares: E. B. Wilson, "Probable inference, the law
of succession, and statistical inference", 1927; it stays sound near 0 and 1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959964


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean in which every client counts the same.

    Attributes:
        value: the mean.
        standard_error: over clients; None for a single client.
        low: lower end of the 95 % interval; None for a single client.
        high: upper end of the 95 % interval; None for a single client.
    """

    value: float
    standard_error: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Share:
    """How many of all clients something holds for.

    Attributes:
        count: clients it holds for.
        of: clients in all.
        share: count / of, 0..1.
        low: lower end of Wilson's 95 % interval, 0..1.
        high: upper end of Wilson's 95 % interval, 0..1.
    """

    count: int
    of: int
    share: float
    low: float
    high: float


def mean(values: Sequence[float] | np.ndarray) -> Mean:
    """Averages one value a client; `values` is not empty.

    >>> mean([0.4, 0.6]).value
    0.5
    """
    value = float(np.mean(values))
    if len(values) == 1:
        return Mean(value, None, None, None)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Mean(value, error, value - Z95 * error, value + Z95 * error)


def mean_of_sums(count: int, total: float, squares: float) -> Mean:
    """The same from how many values there are, their sum and their squares' sum.

    >>> round(mean_of_sums(2, 1.0, 0.52).standard_error, 9)
    0.1
    """
    value = total / count
    if count == 1:
        return Mean(value, None, None, None)
    # Rounding must not make it negative where all values are the same.
    variance = max(squares - total * value, 0.0) / (count - 1)
    error = math.sqrt(variance / count)
    return Mean(value, error, value - Z95 * error, value + Z95 * error)


def share(count: int, of: int) -> Share:
    """Wilson's score interval of `count` out of `of` (at least 1) clients.

    >>> share(0, 10).low
    0.0
    """
    p, square = count / of, Z95**2 / of
    centre = (p + square / 2) / (1 + square)
    half = Z95 * math.sqrt(p * (1 - p) / of + square / (4 * of)) / (1 + square)
    # At 0 and at `of` the interval ends there exactly; rounding must not say else.
    low = 0.0 if count == 0 else centre - half
    high = 1.0 if count == of else centre + half
    return Share(count, of, p, low, high)
