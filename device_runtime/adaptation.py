"""Local epochs of the client optimizer on one client's examples.

The inner loop of stage 3 in "Improving Federated Learning Personalization via Model
Agnostic Meta Learning" (arXiv 1909.12488, Algorithm 2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.budget import Meter
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.session import Session

# Called after each local epoch with its number, from 1, its mean training loss (NaN or
# Inf after the step that ended the adaptation), and the session as it is by then.
OnEpoch = Callable[[int, float, Session], None]
# Called after each step with the epoch it is of, from 1, and its training loss.
OnStep = Callable[[int, float], None]

# A batch's loss this many times the first one's, or 1, will not come back.
EXPLODED = 1e3


class Position(NamedTuple):
    """Where an adaptation stands between two steps.

    Attributes:
        epoch: local epochs completed.
        step: steps taken of the next one.
        loss: sum of the training losses of that one's examples so far.
        first: training loss of the very first step; NaN before it.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    first: float = math.nan


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        steps: optimizer steps taken.
        epochs: local epochs completed, those before its start included.
        losses: training loss of each step's batch, before the step.
        stopped_by: "epochs" (all done), what `Meter.reached` said, or "loss" (NaN, Inf
            or exploded: the weights are of no use).
        position: where to go on from.
    """

    steps: int
    epochs: int
    losses: tuple[float, ...]
    stopped_by: str
    position: Position

    @property
    def finite(self) -> bool:
        """Whether every loss was a sensible number."""
        return self.stopped_by != "loss"


def adapt(
    session: Session,
    x: np.ndarray,
    y: np.ndarray,
    policy: Policy,
    *,
    batch_size: int,
    meter: Meter | None = None,
    seed: int = 0,
    start: Position | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
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
        meter: when to stop earlier.
        seed: of the order of examples.
        start: where an adaptation with the same arguments stopped; the session holds
            its weights and slots.
        on_epoch: told of every completed epoch, and of the one that a "loss" ended;
            must leave the session's weights and slots as they are.
        on_step: told of every step.
    """
    meter = meter or Meter()
    epoch, step, total, first = start or Position()
    random = np.random.default_rng(seed)
    for _ in range(epoch):
        random.permutation(len(x))
    losses: list[float] = []

    def done(stopped_by: str) -> Adaptation:
        position = Position(epoch, step, total, first)
        return Adaptation(len(losses), epoch, tuple(losses), stopped_by, position)

    while epoch < policy.epochs:
        order = random.permutation(len(x))
        for at in range(step, math.ceil(len(x) / batch_size)):
            step = at
            limit = meter.reached()
            if limit:
                return done(limit)
            batch = order[at * batch_size : (at + 1) * batch_size]
            ones = np.ones(len(batch), np.float32)
            loss = session.train_step(x[batch], y[batch], ones, policy.learning_rate)
            meter.steps += 1
            losses.append(loss)
            first = loss if math.isnan(first) else first
            total += loss * len(batch)
            if loss > EXPLODED * max(first, 1.0):
                total = math.inf
            if on_step:
                on_step(epoch + 1, loss)
            if not math.isfinite(total):
                break
        if on_epoch:
            on_epoch(epoch + 1, total / max(len(x), 1), session)
        if not math.isfinite(total):
            return done("loss")
        epoch, step, total = epoch + 1, 0, 0.0
    return done("epochs")
