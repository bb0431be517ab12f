"""What an adaptation may cost, and what it has cost so far."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.resident_memory import resident_mb


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one `personalize` may cost; None sets no limit.

    Attributes:
        seconds: no step begins later than this after the first.
        steps: most optimizer steps, those for the guard's evidence included.
        epochs: local epochs to run, in place of the policy's.
        examples: most examples to adapt on; the newest stay.
        memory_mb: most megabytes (10^6 bytes) by which the process may grow.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: int | None = None
    examples: int | None = None
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        """Refuses negative limits."""
        for name, limit in dataclasses.asdict(self).items():
            if limit is not None and not limit >= 0:
                raise FedpError(f"budget of {limit} {name}: give 0 or more")

    def applied(self, policy: Policy) -> Policy:
        """The policy with this budget's number of local epochs."""
        if self.epochs is None:
            return policy
        return dataclasses.replace(policy, epochs=self.epochs)


class Meter:
    """Says before each step whether there may be another.

    Attributes:
        steps: optimizer steps taken.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        """Starts the clock; memory is counted from here, too.

        Args:
            budget: the limits.
            should_stop: asked before each step: battery, heat, the user is back.
        """
        self.steps = 0
        self._budget = budget or Budget()
        self._should_stop = should_stop
        self._started = time.monotonic()
        self._resident = resident_mb() if self._budget.memory_mb is not None else 0.0

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self._started

    def reached(self) -> str | None:
        """Name of the limit that is reached: that of a budget, or "should_stop"."""
        budget = self._budget
        if budget.steps is not None and self.steps >= budget.steps:
            return "steps"
        if budget.seconds is not None and self.seconds >= budget.seconds:
            return "seconds"
        if budget.memory_mb is not None:
            if resident_mb() - self._resident > budget.memory_mb:
                return "memory_mb"
        if self._should_stop is not None and self._should_stop():
            return "should_stop"
        return None
