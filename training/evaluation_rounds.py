"""Initial and personalized accuracy on validation clients, while training.

As in Jiang et al. 2019: both on the query part of a client's examples, averaged
uniformly over clients; personalization uses the client optimizer of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.algorithms import fedavg
from fedp.training.client_update import Optimizer, build_client_update, model_input
from fedp.training.data.federated import Examples


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


def build_evaluation(
    model: tf.keras.Model, batch_size: int, optimizer: Optimizer, epochs: int
) -> Callable[[Sequence[np.ndarray], Sequence[EvaluationClient]], Accuracy]:
    """Builds a function of (weights, clients); it overwrites the model's weights."""
    adapt = build_client_update(model, fedavg(epochs), batch_size, optimizer)

    @tf.function(reduce_retracing=True)
    def accuracy(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        outputs = model(model_input(x, model), training=False)
        right = tf.equal(tf.argmax(outputs, axis=1, output_type=tf.int32), y)
        return tf.reduce_mean(tf.cast(right, tf.float32))

    def evaluate(
        weights: Sequence[np.ndarray], clients: Sequence[EvaluationClient]
    ) -> Accuracy:
        theta = [tf.constant(weight) for weight in weights]
        pairs = []
        for client in clients:
            model.set_weights(weights)
            initial = accuracy(*map(tf.constant, client.query))
            adapt(theta, *map(tf.constant, client.support), tf.constant(client.seed))
            pairs.append((initial, accuracy(*map(tf.constant, client.query))))
        return Accuracy(*(float(mean) for mean in np.mean(pairs, axis=0)))

    return evaluate
