"""Results read once, one at a time: some 50 bytes a client are kept, and sums.

So ten thousand clients' results may stay on disk.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from fedp.training.evaluation.calibration import (
    Calibration,
    CalibrationSum,
)
from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.intervals import Mean, mean_of_sums
from fedp.training.evaluation.results import ClientResult

_NUMBER = re.compile(r"\d+(\.\d+)?")


class Tally:
    """What a summary needs of all results.

    Attributes:
        columns: of the clients.
        reasons: the guard's, with the numbers taken out, by `Columns.reason`.
        curve: mean accuracy after 0, 1, 2, ... local epochs.
        initial: the initial model's calibration.
        deployed: the live model's.
    """

    columns: Columns
    reasons: tuple[str, ...]
    curve: tuple[Mean, ...]
    initial: Calibration
    deployed: Calibration

    def __init__(self, results: Iterable[ClientResult]) -> None:
        """Reads all results."""
        examples, kept, number = array("q"), array("b"), array("q")
        initial, personalized, deployed = array("d"), array("d"), array("d")
        reasons: dict[str, int] = {}
        curve, before, after = CurveSum(), CalibrationSum(), CalibrationSum()
        for r in results:
            reason = _NUMBER.sub("…", r.reason)
            examples.append(r.adapt_examples)
            initial.append(r.initial)
            personalized.append(r.personalized)
            deployed.append(r.deployed)
            kept.append(r.kept)
            number.append(reasons.setdefault(reason, len(reasons)))
            curve.add(r.curve)
            before.add(r.initial_bins)
            after.add(r.deployed_bins)
        self.columns = Columns(
            np.array(examples, np.int64),
            np.array(initial, np.float64),
            np.array(personalized, np.float64),
            np.array(deployed, np.float64),
            np.array(kept, bool),
            np.array(number, np.int64),
        )
        self.reasons = tuple(reasons)
        self.curve = curve.means()
        self.initial, self.deployed = before.result(), after.result()


class CurveSum:
    """The mean curve of clients that come one after the other."""

    def __init__(self) -> None:
        """Starts with nobody."""
        self._clients = 0
        self._sums: list[float] = []
        self._squares: list[float] = []

    def add(self, curve: Sequence[float]) -> None:
        """Adds a client; one that stopped early counts with its last model."""
        for sums in (self._sums, self._squares):
            # Whoever came before stopped earlier than this one.
            sums += [sums[-1] if sums else 0.0] * (len(curve) - len(sums))
        for epoch in range(len(self._sums)):
            value = curve[min(epoch, len(curve) - 1)]
            self._sums[epoch] += value
            self._squares[epoch] += value * value
        self._clients += 1

    def means(self) -> tuple[Mean, ...]:
        """After 0, 1, 2, ... local epochs."""
        return tuple(
            mean_of_sums(self._clients, total, squares)
            for total, squares in zip(self._sums, self._squares, strict=True)
        )
