"""The inner loop of Algorithm 1 (Jiang et al. 2019) in plain TensorFlow.

Deviates from the paper in keeping the last, partial batch of an epoch, with its own
mean loss, so that a client with fewer examples than a batch trains too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.algorithms import Algorithm
from fedp.training.models import loss_fn
from fedp.training.random_layers import seeded_random_layers

_SCALED = np.arange(256, dtype=np.float32) / np.float32(255)

Optimizer = Callable[[Sequence[tf.Variable], Sequence[tf.Tensor]], None]


class ClientResult(NamedTuple):
    """What a client returns; all zero if its training left the finite numbers.

    Attributes:
        update: g_i = theta_i - theta, float32 in the shapes of the weights.
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


def sgd(learning_rate: float) -> Optimizer:
    """The paper's client optimizer: w <- w - beta * gradient."""

    def apply(weights: Sequence[tf.Variable], gradients: Sequence[tf.Tensor]) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(learning_rate * gradient)

    return apply


def build_client_update(
    model: tf.keras.Model, algorithm: Algorithm, batch_size: int, optimizer: Optimizer
) -> Any:
    """Builds a tf.function that runs one client; it overwrites the model's weights.

    Returns:
        A function of theta (float32 tensors in the order of
        `model.trainable_variables`), x (uint8 or float32 [n, ...]), y (int32 [n]) and
        seed (int32 [2], of the shuffling and of dropout), returning a ClientResult.
        Afterwards the model holds theta_i.
    """
    train_step = build_train_step(model, optimizer)
    variables = model.trainable_variables

    @tf.function(reduce_retracing=True)
    def client_update(
        theta: list[tf.Tensor], x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor
    ) -> ClientResult:
        for variable, value in zip(variables, theta, strict=True):
            variable.assign(value)
        examples = tf.shape(y)[0]
        batches = -(-examples // batch_size)
        steps = algorithm.local_steps(batches) if examples > 0 else 0
        order = tf.range(examples)
        processed, loss_sum = 0, 0.0
        for step in tf.range(steps):
            tf.autograph.experimental.set_loop_options(
                shape_invariants=[(order, tf.TensorShape([None]))]
            )
            epoch, batch = step // batches, step % batches
            if batch == 0:
                order = epoch_order(examples, seed, epoch)
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            step_seed = tf.random.experimental.stateless_fold_in(seed, step)
            loss = train_step(tf.gather(x, rows), tf.gather(y, rows), step_seed)
            processed += tf.size(rows)
            loss_sum += loss * tf.cast(tf.size(rows), tf.float32)
        update = [new - old for new, old in zip(variables, theta, strict=True)]
        weight = tf.cast(algorithm.client_weight(examples), tf.float32)
        if examples == 0:
            weight = tf.zeros([])
        return _left_out_unless_finite(
            ClientResult(update, weight, examples, processed, loss_sum, steps, 0)
        )

    return client_update


def build_train_step(model: tf.keras.Model, optimizer: Optimizer) -> Any:
    """Builds the function of one step: (x, y, seed) -> mean loss before it, []."""
    example_loss = loss_fn(model)
    variables = model.trainable_variables

    def train_step(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        with seeded_random_layers(model, seed), tf.GradientTape() as tape:
            outputs = model(model_input(x, model), training=True)
            loss = tf.reduce_mean(example_loss(y, outputs))
        optimizer(variables, tape.gradient(loss, variables))
        return loss

    return train_step


def model_input(x: tf.Tensor, model: tf.keras.Model) -> tf.Tensor:
    """Scales uint8 to 0..1 and adds a missing channel axis, as the devices do."""
    if x.dtype == tf.uint8:
        # A table, since Grappler turns a division by 255 into an inexact product.
        x = tf.gather(_SCALED, tf.cast(x, tf.int32))
    return tf.reshape(x, [-1, *model.input_shape[1:]])


def epoch_order(examples: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """The order of a client's examples in one epoch: int32 [examples]."""
    # Step seeds are folded in from 0 up; epochs count down from -1 to stay apart.
    epoch_seed = tf.random.experimental.stateless_fold_in(seed, -1 - epoch)
    return tf.random.experimental.stateless_shuffle(tf.range(examples), epoch_seed)


def _left_out_unless_finite(result: ClientResult) -> ClientResult:
    finite = tf.math.is_finite(result.loss_sum)
    for tensor in result.update:
        finite = finite & tf.reduce_all(tf.math.is_finite(tensor))
    if finite:
        return result
    zeros: ClientResult = tf.nest.map_structure(tf.zeros_like, result)
    return zeros._replace(not_finite=tf.ones([], tf.int32))
