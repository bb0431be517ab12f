"""How sure a model is against how often it is right, in ten bins of its confidence.

Guo et al., "On Calibration of Modern Neural Networks", 2017: reliability diagram and
expected calibration error (ECE), here over the answers of all clients together.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

BINS = 10


class Bins(NamedTuple):
    """A client's answers by confidence; bin b holds (b/10, (b+1)/10].

    Attributes:
        counts: answers whose label is known, of each bin.
        hits: those that are right.
        confidences: sum of their confidences, the probability of the answered class.
    """

    counts: tuple[int, ...] = (0,) * BINS
    hits: tuple[int, ...] = (0,) * BINS
    confidences: tuple[float, ...] = (0.0,) * BINS


@dataclasses.dataclass(frozen=True)
class Calibration:
    """All clients' answers together; an answer counts the same, whoever's it is.

    Attributes:
        counts: answers of each bin.
        accuracy: share of them that is right, 0..1; None for an empty bin.
        confidence: their mean confidence, 0..1; None for an empty bin.
        error: expected calibration error, 0..1; None without any answer.
    """

    counts: tuple[int, ...]
    accuracy: tuple[float | None, ...]
    confidence: tuple[float | None, ...]
    error: float | None


def bins_of(probabilities: np.ndarray, y: np.ndarray) -> Bins:
    """Counts a model's answers.

    Args:
        probabilities: of classes, float32 [n, ..., C].
        y: class numbers [n, ...]; -1 is no label, and not counted.
    """
    known = y >= 0
    answers = probabilities[known]
    confidence = np.nan_to_num(answers.max(axis=-1).astype(np.float64))
    right = answers.argmax(axis=-1) == y[known]
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    sums = np.bincount(number, confidence, minlength=BINS)
    return Bins(
        counts=tuple(np.bincount(number, minlength=BINS).tolist()),
        hits=tuple(np.bincount(number[right], minlength=BINS).tolist()),
        # Four digits are enough, and short in a table.
        confidences=tuple(np.round(sums, 4).tolist()),
    )


class CalibrationSum:
    """Adds up clients that come one after the other."""

    def __init__(self) -> None:
        """Starts with nobody."""
        self._total = np.zeros((3, BINS))

    def add(self, bins: Bins) -> None:
        """Adds a client."""
        self._total += bins

    def result(self) -> Calibration:
        """Of all clients so far."""
        counts, hits, confidences = self._total
        answers = counts.sum()
        gap = np.abs(hits - confidences).sum()
        return Calibration(
            counts=tuple(int(n) for n in counts),
            accuracy=_per_answer(hits, counts),
            confidence=_per_answer(confidences, counts),
            error=float(gap / answers) if answers else None,
        )


def _per_answer(sums: np.ndarray, counts: np.ndarray) -> tuple[float | None, ...]:
    return tuple(
        float(total / n) if n else None for total, n in zip(sums, counts, strict=True)
    )
