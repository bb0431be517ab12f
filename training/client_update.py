"""A client's part of a round: the inner loop of Algorithm 1 (Jiang et al. 2019).

Deviates from the paper in keeping the last, partial batch of an epoch, with its own
mean loss, so that a client with fewer examples than a batch trains too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from fedp.training.algorithms import Algorithm, Returned
from fedp.training.client_optimizers import ClientOptimizer
from fedp.training.client_steps import ClientSteps


class ClientResult(NamedTuple):
    """What a client returns; all zero if its training left the finite numbers.

    Attributes:
        update: g_i, float32 in the shapes of the weights.
        weight: w_i, float32 [].
        examples: examples the client has, int32 [].
        processed: examples it trained on, repeats counted, int32 [].
        loss_sum: sum over those of their loss at the time, float32 [].
        steps: batches it trained on, int32 [].
        not_finite: 1 if it was left out, else 0, int32 [].
    """

    update: list[tf.Tensor]
    weight: tf.Tensor
    examples: tf.Tensor
    processed: tf.Tensor
    loss_sum: tf.Tensor
    steps: tf.Tensor
    not_finite: tf.Tensor


def build_client_update(
    model: tf.keras.Model,
    algorithm: Algorithm,
    batch_size: int,
    optimizer: ClientOptimizer,
) -> Any:
    """Builds a tf.function that runs one client; it overwrites the model's weights.

    Returns:
        A function of theta (float32 tensors in the order of
        `model.trainable_variables`), x (uint8, int32 or float32 [n, ...]), y (int32
        [n, ...]) and seed (int32 [2], of the shuffling and of dropout), returning a
        ClientResult. After a FedAvg or Reptile walk the model holds theta_i.
    """
    client = ClientSteps(model, batch_size, optimizer)

    @tf.function(reduce_retracing=True)
    def client_update(
        theta: list[tf.Tensor], x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor
    ) -> ClientResult:
        examples = tf.shape(y)[0]
        steps = algorithm.local_steps(client.batches(examples)) if examples > 0 else 0
        client.start_at(theta)
        walk = client.walk(x, y, seed, 0, steps)
        update = [new - old for new, old in zip(client.weights, theta, strict=True)]
        if algorithm.returned is not Returned.WALK and examples > 0:
            batch = client.batch(x, y, seed, steps)
            loss, g = client.loss_and_gradients(batch)
            if algorithm.returned is Returned.META_GRADIENT:
                g = _through_steps(client, theta, g, x, y, seed, steps)
            update = [-client.learning_rate * each for each in g]
            walk = walk.with_batch(loss, batch)
        weight = tf.cast(algorithm.client_weight(examples), tf.float32)
        if examples == 0:
            weight = tf.zeros([])
        return _left_out_unless_finite(ClientResult(update, weight, examples, *walk, 0))

    return client_update


def _through_steps(
    client: ClientSteps,
    theta: list[tf.Tensor],
    g: list[tf.Tensor],
    x: tf.Tensor,
    y: tf.Tensor,
    seed: tf.Tensor,
    steps: int,
) -> list[tf.Tensor]:
    """Carries a gradient at theta_K back to theta: g <- (I - beta H_j) g (eq. 2, 3)."""
    path = [tf.TensorArray(w.dtype, steps, element_shape=w.shape) for w in theta]
    client.start_at(theta)
    for step in tf.range(steps):
        here = zip(path, client.weights, strict=True)
        path = [p.write(step, w.read_value()) for p, w in here]
        client.train_step(*client.batch(x, y, seed, step))
    for back in tf.range(steps):
        step = steps - 1 - back
        client.start_at([p.read(step) for p in path])
        h = client.hessian_product(client.batch(x, y, seed, step), g)
        g = [a - client.learning_rate * b for a, b in zip(g, h, strict=True)]
    return g


def _left_out_unless_finite(result: ClientResult) -> ClientResult:
    finite = tf.math.is_finite(result.loss_sum)
    for tensor in result.update:
        finite = finite & tf.reduce_all(tf.math.is_finite(tensor))
    if finite:
        return result
    zeros: ClientResult = tf.nest.map_structure(tf.zeros_like, result)
    return zeros._replace(not_finite=tf.ones([], tf.int32))
