"""Accuracy before, while and after clients adapt, in TensorFlow, during training.

As in Jiang et al. 2019: on the query part of a client's examples, averaged uniformly
over clients; personalization uses the client optimizer of the training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.client_optimizers import ClientOptimizer
from fedp.training.client_steps import ClientSteps, model_input
from fedp.training.data.federated import Examples
from fedp.training.engines.contract import ClientType
from fedp.training.graph_function import GraphFunction, graph_function
from fedp.training.models import accuracy_fn
from fedp.training.side_by_side import SideBySide

_READ_AHEAD = 32  # clients in memory at a time


class EvaluationClient(NamedTuple):
    """One client's examples, in the two parts of an evaluation.

    Attributes:
        support: to adapt on.
        query: to test on; at least one example.
        seed: of the adaptation, int32 [2].
    """

    support: Examples
    query: Examples
    seed: np.ndarray


class Accuracy(NamedTuple):
    """Means over clients.

    Attributes:
        initial: of the model as it is, 0..1.
        personalized: after each client's local epochs, 0..1.
    """

    initial: float
    personalized: float


class Evaluation:
    """Adapts many clients side by side; close it in the end.

    Example:
        >>> evaluation = Evaluation(function)  # doctest: +SKIP
        ... evaluation.accuracy(weights, clients).personalized
    """

    def __init__(self, function: GraphFunction, threads: int | None = None) -> None:
        """Takes what `build_evaluation` made; a client a core unless told otherwise."""
        self._clients = SideBySide(function, threads)

    def curves(
        self, weights: Sequence[np.ndarray], clients: Iterable[EvaluationClient]
    ) -> np.ndarray:
        """Each client's accuracies after the chosen epochs: float32 [clients, epochs].

        Args:
            weights: of the initial model.
            clients: read one after the other, a few ahead of their turn.
        """
        order: list[int] = []
        curves: list[np.ndarray] = []
        inputs = (
            [*weights, *client.support, *client.query, client.seed]
            for client in longest_first(clients, order)
        )
        for result in self._clients.map(inputs):
            if isinstance(result, Exception):
                raise result
            curves.append(result[0])
        return np.stack([curves[place] for place in np.argsort(order)])

    def accuracy(
        self, weights: Sequence[np.ndarray], clients: Iterable[EvaluationClient]
    ) -> Accuracy:
        """Mean accuracy before the first and after the last of the chosen epochs."""
        curve = self.curves(weights, clients).mean(axis=0)
        return Accuracy(float(curve[0]), float(curve[-1]))

    def close(self) -> None:
        """Ends the threads; harmless when repeated."""
        self._clients.close()


def longest_first(
    clients: Iterable[EvaluationClient], order: list[int]
) -> Iterator[EvaluationClient]:
    """Yields clients so that no core is left with a long one at the end.

    Args:
        clients: read a few ahead, and sorted among those.
        order: gets the number of each client that is yielded, counted as they came.
    """
    numbered = enumerate(clients)
    while window := list(itertools.islice(numbered, _READ_AHEAD)):
        window.sort(key=lambda pair: -len(pair[1].support.y))
        for number, client in window:
            order.append(number)
            yield client


def build_evaluation(
    model: tf.keras.Model,
    client_type: ClientType,
    batch_size: int,
    optimizer: ClientOptimizer,
    epochs: Sequence[int],
) -> GraphFunction:
    """Builds a function of (weights, support, query, seed) -> accuracies [epochs].

    Args:
        model: gives the graph; its weights do not matter.
        client_type: of the clients' examples.
        batch_size: of the adaptation.
        optimizer: of the adaptation.
        epochs: ascending; 0 is the initial model.
    """
    client = ClientSteps(model, batch_size, optimizer)
    example_accuracy = accuracy_fn(model)

    def accuracy(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        outputs = model(model_input(x, model), training=False)
        return tf.reduce_mean(example_accuracy(y, outputs))

    @tf.function
    def curve(
        theta: Any,
        support_x: tf.Tensor,
        support_y: tf.Tensor,
        query_x: tf.Tensor,
        query_y: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        batches = client.batches(tf.shape(support_y)[0])
        client.start_at(theta)
        done, points = 0, []
        for epoch in epochs:
            client.walk(support_x, support_y, seed, done * batches, epoch * batches)
            points.append(accuracy(query_x, query_y))
            done = epoch
        return tf.stack(points)

    examples = [
        tf.TensorSpec((None, *client_type.x_shape), client_type.x_dtype),
        tf.TensorSpec((None, *client_type.y_shape), tf.int32),
    ]
    theta = [tf.TensorSpec(w.shape, tf.float32) for w in model.trainable_variables]
    seed = tf.TensorSpec((2,), tf.int32)
    return graph_function(
        curve.get_concrete_function(theta, *examples, *examples, seed)
    )
