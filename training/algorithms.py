"""Five algorithms as settings of one loop: Algorithm 1 of Jiang et al. 2019.

In every round each client i walks from theta to theta_i by `local_steps` steps of its
optimizer and returns g_i; the server moves along sum(w_i g_i) / sum(w_i).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from fedp.training.configuration import ConfigurationError, Stage

# An int32 scalar: a TensorFlow tensor inside a computation, a Python int in a test.
Count = Any


class Returned(enum.Enum):
    """What a client returns as g_i, with beta its learning rate."""

    WALK = "theta_i - theta"
    NEXT_GRADIENT = "-beta * the gradient at theta_i, on the next batch (eq. 4)"
    META_GRADIENT = "-beta * the gradient of the loss at theta_i by theta (eq. 3)"


class Algorithm(NamedTuple):
    """What tells one instance of Algorithm 1 from another.

    Attributes:
        local_steps: batches in one local epoch -> steps of the inner loop.
        client_weight: examples the client has -> w_i.
        returned: what the client makes of its walk.
    """

    local_steps: Callable[[Count], Count]
    client_weight: Callable[[Count], Count]
    returned: Returned = Returned.WALK


def fedavg(local_epochs: int) -> Algorithm:
    """FedAvg(E): E epochs over the client's data, weighted by its examples."""
    return Algorithm(
        local_steps=lambda batches: local_epochs * batches,
        client_weight=lambda examples: examples,
    )


def reptile(local_steps: int) -> Algorithm:
    """Reptile(K): K batches however much data there is, every client weighing 1."""
    return Algorithm(
        local_steps=lambda batches: local_steps,
        client_weight=lambda examples: 1,
    )


def fedsgd() -> Algorithm:
    """FedSGD: a single gradient step, eq. 1; the same as Reptile(1)."""
    return reptile(1)


def fomaml(local_steps: int) -> Algorithm:
    """FOMAML(K): the (K+1)-th gradient alone, eq. 4; FOMAML(0) is FedSGD."""
    return Algorithm(
        local_steps=lambda batches: local_steps,
        client_weight=lambda examples: 1,
        returned=Returned.NEXT_GRADIENT,
    )


def maml(local_steps: int) -> Algorithm:
    """MAML(K): the (K+1)-th loss differentiated through all K steps, eq. 2 and 3."""
    return Algorithm(
        local_steps=lambda batches: local_steps,
        client_weight=lambda examples: 1,
        returned=Returned.META_GRADIENT,
    )


def algorithm_of(stage: Stage) -> Algorithm:
    """The algorithm that a stage names, with the weights that its aggregator takes.

    Raises:
        ConfigurationError: centralized training, which has no clients.
    """
    algorithm = _named(stage)
    if stage.aggregator == "unweighted":
        return algorithm._replace(client_weight=lambda examples: 1)
    return algorithm


def _named(stage: Stage) -> Algorithm:
    match stage.algorithm:
        case "fedavg":
            return fedavg(stage.local_epochs)
        case "reptile":
            return reptile(stage.local_steps)
        case "fedsgd":
            return fedsgd()
        case "fomaml":
            return fomaml(stage.local_steps)
        case "maml":
            return maml(stage.local_steps)
    raise ConfigurationError(
        f"stage {stage.name!r}: {stage.algorithm} is no federated algorithm"
    )
