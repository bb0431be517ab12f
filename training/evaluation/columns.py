"""What a summary needs of each client, as columns of numbers."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """Clients in their order; accuracies are 0..1.

    Attributes:
        examples: given to the device, int64 [n].
        initial: accuracy of the initial model, float64 [n].
        personalized: after the last local epoch, float64 [n].
        deployed: of the live model, float64 [n].
        kept: whether the personalized model is live, bool [n].
        reason: number of the guard's reason, int64 [n].
    """

    examples: np.ndarray
    initial: np.ndarray
    personalized: np.ndarray
    deployed: np.ndarray
    kept: np.ndarray
    reason: np.ndarray

    def __len__(self) -> int:
        """How many clients."""
        return len(self.initial)

    def of(self, which: np.ndarray) -> Columns:
        """Of some clients: a mask, or their numbers."""
        return Columns(*(column[which] for column in vars(self).values()))

    @property
    def personalized_gain(self) -> np.ndarray:
        """Personalized - initial accuracy, float64 [n]."""
        return np.subtract(self.personalized, self.initial)

    @property
    def deployed_gain(self) -> np.ndarray:
        """Deployed - initial accuracy, float64 [n]."""
        return np.subtract(self.deployed, self.initial)


def lost(gains: np.ndarray, more_than: float = 0.0) -> int:
    """How many clients lost more than that."""
    # Rounded, or 0.50 - 0.49 would count as more than one point.
    return int((np.round(-gains, 9) > more_than).sum())
