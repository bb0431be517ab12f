"""Local epochs of the client optimizer on one client's examples.

The inner loop of stage 3 in "Improving Federated Learning Personalization via Model
Agnostic Meta Learning" (arXiv 1909.12488, Algorithm 2).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.session import Session

# Called after each local epoch with its number, from 1, its mean training loss (NaN or
# Inf after the step that ended the adaptation), and the session as it is by then.
OnEpoch = Callable[[int, float, Session], None]


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one adaptation may cost; None sets no limit.

    Attributes:
        seconds: no step begins later than this after the first.
        steps: most optimizer steps.
        epochs: local epochs to run, in place of the policy's.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        """Refuses negative limits."""
        for name, limit in dataclasses.asdict(self).items():
            if limit is not None and not limit >= 0:
                raise FedpError(f"budget of {limit} {name}: give 0 or more")


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        steps: optimizer steps taken.
        epochs: local epochs completed.
        losses: training loss of each step's batch, before the step.
        stopped_by: "epochs" (all done), "steps" or "seconds" (the budget), or "loss"
            (NaN or Inf: the weights are of no use).
    """

    steps: int
    epochs: int
    losses: tuple[float, ...]
    stopped_by: str

    @property
    def finite(self) -> bool:
        """Whether every loss was a finite number."""
        return self.stopped_by != "loss"


def adapt(
    session: Session,
    x: np.ndarray,
    y: np.ndarray,
    policy: Policy,
    *,
    batch_size: int,
    budget: Budget | None = None,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Adaptation:
    """Runs local epochs from the session's weights, in place.

    Each epoch takes the examples in a new order; the last batch may be smaller and
    counts by its true size.

    Args:
        session: holds the weights; the caller restores them after a "loss" stop.
        x: what `Session.features` gave, [n, ...].
        y: labels [n, *label_shape].
        policy: learning rate and local epochs.
        batch_size: examples a step, at most the artifact's.
        budget: when to stop earlier.
        seed: of the order of examples.
        on_epoch: told of every completed epoch, and of the one that a "loss" ended;
            may infer with the session, but not change its weights.
    """
    budget = budget or Budget()
    epochs = policy.epochs if budget.epochs is None else budget.epochs
    random = np.random.default_rng(seed)
    started = time.monotonic()
    losses: list[float] = []
    for epoch in range(epochs):
        weighted = 0.0
        for batch in _batches(len(x), batch_size, random):
            limit = _reached(budget, len(losses), time.monotonic() - started)
            if limit:
                return Adaptation(len(losses), epoch, tuple(losses), limit)
            ones = np.ones(len(batch), np.float32)
            loss = session.train_step(x[batch], y[batch], ones, policy.learning_rate)
            losses.append(loss)
            weighted += loss * len(batch)
            if not math.isfinite(loss):
                break
        if on_epoch:
            on_epoch(epoch + 1, weighted / max(len(x), 1), session)
        if not math.isfinite(weighted):
            return Adaptation(len(losses), epoch, tuple(losses), "loss")
    return Adaptation(len(losses), epochs, tuple(losses), "epochs")


def _batches(
    count: int, batch_size: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    order = random.permutation(count)
    return (order[at : at + batch_size] for at in range(0, count, batch_size))


def _reached(budget: Budget, steps: int, seconds: float) -> str | None:
    """Name of the limit that has been reached."""
    if budget.steps is not None and steps >= budget.steps:
        return "steps"
    if budget.seconds is not None and seconds >= budget.seconds:
        return "seconds"
    return None
