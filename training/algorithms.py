"""FedAvg and Reptile as two settings of one loop: Algorithm 1 of Jiang et al. 2019.

In every round each client i walks from theta to theta_i and returns
g_i = theta_i - theta; the server moves along sum(w_i g_i) / sum(w_i).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fedp.training.configuration import Stage

# An int32 scalar: a TensorFlow tensor inside a computation, a Python int in a test.
Count = Any


class Algorithm(NamedTuple):
    """What tells one instance of Algorithm 1 from another.

    Attributes:
        local_steps: batches in one local epoch -> batches the client trains on.
        client_weight: examples the client has -> w_i.
    """

    local_steps: Callable[[Count], Count]
    client_weight: Callable[[Count], Count]


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


def algorithm_of(stage: Stage) -> Algorithm:
    """The algorithm that a stage names."""
    if stage.algorithm == "fedavg":
        return fedavg(stage.local_epochs)
    return reptile(stage.local_steps)
