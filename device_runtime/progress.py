"""How far a personalization is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Progress:
    """What is told after every optimizer step.

    Attributes:
        phase: "judging" (adaptations for the guard's evidence) or "adapting" (the one
            that may go live).
        trial: number of the adaptation that judges, from 1; 0 while adapting.
        trials: how many judge.
        epoch: local epoch of this adaptation, from 1.
        epochs: how many it has.
        steps: optimizer steps taken since the first call, stops in between included.
        all_steps: how many there are at most.
        loss: training loss of this step's batch.
        seconds: wall time of this call.
    """

    phase: str
    trial: int
    trials: int
    epoch: int
    epochs: int
    steps: int
    all_steps: int
    loss: float
    seconds: float

    @property
    def share(self) -> float:
        """Share of all work that is done, 0..1."""
        return self.steps / self.all_steps if self.all_steps else 1.0


OnProgress = Callable[[Progress], None]
