"""Centralized training: the baseline of Jiang et al. 2019 (Fig. 2, right)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fedp.training.client_optimizers import ClientOptimizer, optimizer_of
from fedp.training.client_steps import ClientSteps
from fedp.training.configuration import Stage
from fedp.training.engines.contract import (
    ClientData,
    ClientType,
    ReadClient,
    RoundResult,
    RoundSums,
    ServerState,
)
from fedp.training.engines.reading import CLIENT_FAILURES, in_a_line
from fedp.training.graph_function import GraphFunction, Started, graph_function
from fedp.training.sampling import Participant

# Clients are pooled and shuffled this many examples at a time, so that memory does not
# grow with the data set; a smaller one is shuffled as a whole.
_POOL = 65_536


class CentralizedStage:
    """A `StageEngine` that pools all clients' examples; a round is one epoch."""

    def __init__(
        self, epoch: GraphFunction, slots: Sequence[np.ndarray], read: ReadClient
    ) -> None:
        """Takes what `build_centralized` made, and what reads one client."""
        self._epoch = Started(epoch)
        self._slots = list(slots)
        self._read = read

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """See `StageEngine`."""
        return [*(np.asarray(w, np.float32) for w in weights), *self._slots]

    def next(
        self,
        state: ServerState,
        participants: Sequence[Participant],
        upcoming: Sequence[Participant] = (),
    ) -> RoundResult:
        """See `StageEngine`; the participants are all clients, in random order."""
        failed: dict[str, str] = {}
        sums = RoundSums(0, 0, 0.0, 0, 0)
        for pool in self._pools(participants, failed):
            *state, loss_sum, steps = self._epoch([*state, *pool])
            examples = len(pool.y)
            sums = RoundSums(
                sums.examples + examples,
                sums.processed + examples,
                sums.loss_sum + float(loss_sum),
                sums.steps + int(steps),
                0,
            )
        if not np.isfinite(sums.loss_sum):
            sums = sums._replace(not_finite=len(participants) - len(failed))
        return RoundResult(state, sums, failed)

    def _pools(
        self, participants: Sequence[Participant], failed: dict[str, str]
    ) -> Iterator[ClientData]:
        waiting: list[ClientData] = []
        examples = 0
        for participant in participants:
            try:
                waiting.append(self._read(participant))
            except CLIENT_FAILURES as error:
                failed[participant.client] = in_a_line(error)
                continue
            examples += len(waiting[-1].y)
            if examples >= _POOL:
                yield _pooled(waiting)
                waiting, examples = [], 0
        if waiting:
            yield _pooled(waiting)

    def close(self) -> None:
        """See `StageEngine`."""
        self._epoch.close()


def build_centralized(
    model: tf.keras.Model,
    client_type: ClientType,
    stage: Stage,
    batch_size: int,
    read: ReadClient,
) -> CentralizedStage:
    """Builds a stage of plain training with the stage's optimizer.

    Args:
        model: gives the graph; its weights do not matter.
        client_type: of the examples.
        stage: its `server_optimizer` is the only optimizer there is.
        batch_size: of a step.
        read: reads one client.
    """
    optimizer = optimizer_of(
        stage.server_optimizer, stage.server_learning_rate, stage.momentum
    )
    epoch, slots = _epoch_function(model, client_type, optimizer, batch_size)
    return CentralizedStage(epoch, slots, read)


def _epoch_function(
    model: tf.keras.Model,
    client_type: ClientType,
    optimizer: ClientOptimizer,
    batch_size: int,
) -> tuple[GraphFunction, list[np.ndarray]]:
    """(weights and slots, x, y, seed) -> (weights and slots, loss sum, steps)."""
    steps = ClientSteps(model, batch_size, optimizer)
    variables = [*steps.weights, *steps.slots]

    @tf.function
    def epoch(state: Any, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Any:
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        walk = steps.walk(x, y, seed, 0, steps.batches(tf.shape(y)[0]))
        return [v.read_value() for v in variables], walk.loss_sum, walk.steps

    traced = epoch.get_concrete_function(
        [tf.TensorSpec(v.shape, v.dtype) for v in variables],
        tf.TensorSpec((None, *client_type.x_shape), client_type.x_dtype),
        tf.TensorSpec((None, *client_type.y_shape), tf.int32),
        tf.TensorSpec((2,), tf.int32),
    )
    return graph_function(traced), [slot.numpy() for slot in steps.slots]


def _pooled(clients: Sequence[ClientData]) -> ClientData:
    x = np.concatenate([client.x for client in clients])
    y = np.concatenate([client.y for client in clients])
    return ClientData(x, y, clients[0].seed)
