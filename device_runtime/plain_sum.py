"""A sum that every host gets alike."""

from __future__ import annotations

from collections.abc import Iterable


def plain_sum(values: Iterable[float]) -> float:
    """Adds in order and rounds each time; `sum` compensates from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total
