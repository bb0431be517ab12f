"""What an engine is: it executes the rounds of a stage, somewhere.

All engines run the same functions, TFF's MapReduceForm of a round, so they give the
same model up to the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from fedp.training.sampling import Participant

# A server state's leaves in the order of its TFF type; the weights come first.
ServerState = list[np.ndarray]


class ClientType(NamedTuple):
    """The type of clients' examples.

    Attributes:
        x_dtype: uint8, int32 or float32.
        x_shape: one example's shape.
        y_shape: one label's shape; () for one class an example.
    """

    x_dtype: np.dtype[Any]
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...] = ()


class ClientData(NamedTuple):
    """One client's input to a round.

    Attributes:
        x: uint8, int32 or float32 [n, ...].
        y: int32 [n, ...].
        seed: int32 [2].
    """

    x: np.ndarray
    y: np.ndarray
    seed: np.ndarray


class RoundSums(NamedTuple):
    """Sums over the clients of a round; see ClientResult."""

    examples: int
    processed: int
    loss_sum: float
    steps: int
    not_finite: int


class RoundResult(NamedTuple):
    """What a round leaves.

    Attributes:
        state: of the server, after it.
        sums: over the clients.
        failed: client that was left out because it failed -> why, in a line.
    """

    state: ServerState
    sums: RoundSums
    failed: Mapping[str, str]


# Reads a participant's examples; raises what a client's failure may be.
ReadClient = Callable[[Participant], ClientData]


class StageEngine(Protocol):
    """An engine that holds one stage's functions."""

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """The state that a stage starts with: weights, and a fresh optimizer."""

    def next(
        self,
        state: ServerState,
        participants: Sequence[Participant],
        upcoming: Sequence[Participant] = (),
    ) -> RoundResult:
        """Executes one round.

        Args:
            state: after the round before; it is left as it is.
            participants: who takes part.
            upcoming: who probably takes part next, to be read ahead.

        Raises:
            FedpError: the engine itself failed, not just a client.
        """

    def close(self) -> None:
        """Lets go of threads and memory; harmless when repeated."""
