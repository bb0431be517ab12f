"""One client's walk in plain TensorFlow: its batches in their order, step after step.

A step is a function of (client's examples, seed, step number), so that the same step
can be taken again: by a resumed run, and by MAML on its way back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.client_optimizers import ClientOptimizer
from fedp.training.models import loss_fn
from fedp.training.random_layers import seeded_random_layers

_SCALED = np.arange(256, dtype=np.float32) / np.float32(255)


class Batch(NamedTuple):
    """What one step trains on.

    Attributes:
        x: uint8, int32 or float32 [b, ...], b from 1 to the batch size.
        y: int32 [b, ...].
        seed: of the step's random layers, int32 [2].
    """

    x: tf.Tensor
    y: tf.Tensor
    seed: tf.Tensor


class Walk(NamedTuple):
    """What the steps of a walk add up to.

    Attributes:
        processed: examples, repeats counted, int32 [].
        loss_sum: sum over those of their loss before the step, float32 [].
        steps: batches, int32 [].
    """

    processed: tf.Tensor
    loss_sum: tf.Tensor
    steps: tf.Tensor

    def with_batch(self, loss: tf.Tensor, batch: Batch) -> Walk:
        """The sums with one batch more, given its mean loss."""
        count = tf.shape(batch.y)[0]
        return Walk(
            self.processed + count,
            self.loss_sum + loss * tf.cast(count, tf.float32),
            self.steps + 1,
        )


class ClientSteps:
    """A model's variables, walked over one client's batches; for use in a tf.function.

    Attributes:
        weights: the model's trainable variables.
        learning_rate: beta.
        slots: what the optimizer remembers, as variables.
    """

    def __init__(
        self, model: tf.keras.Model, batch_size: int, optimizer: ClientOptimizer
    ) -> None:
        """Takes over the model's variables.

        Args:
            model: its weights are overwritten.
            batch_size: of a step; the last one of an epoch may be smaller.
            optimizer: its slots are created here.
        """
        self.weights: list[tf.Variable] = list(model.trainable_variables)
        self.learning_rate = optimizer.learning_rate
        self._model = model
        self._batch_size = batch_size
        self._optimizer = optimizer
        self.slots = optimizer.slots(self.weights)
        self._loss = loss_fn(model)

    def start_at(self, theta: list[tf.Tensor]) -> None:
        """Puts the variables to theta and forgets what the optimizer remembered."""
        for variable, value in zip(self.weights, theta, strict=True):
            variable.assign(value)
        self._optimizer.start(self.slots)

    def batches(self, examples: tf.Tensor) -> tf.Tensor:
        """Batches of one epoch, int32 []."""
        return -(-examples // self._batch_size)

    def batch(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, step: int) -> Batch:
        """The batch of step 0, 1, ...; there must be an example."""
        examples = tf.shape(y)[0]
        order = epoch_order(examples, seed, step // self.batches(examples))
        return self._batch_of(order, x, y, seed, step)

    def _batch_of(
        self, order: tf.Tensor, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, step: int
    ) -> Batch:
        first = step % self.batches(tf.shape(y)[0]) * self._batch_size
        rows = order[first : first + self._batch_size]
        step_seed = tf.random.experimental.stateless_fold_in(seed, step)
        return Batch(tf.gather(x, rows), tf.gather(y, rows), step_seed)

    def walk(
        self,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: tf.Tensor,
        first: int | tf.Tensor,
        last: int | tf.Tensor,
    ) -> Walk:
        """Takes steps first .. last - 1 over a client's examples, as a round does."""
        examples = tf.shape(y)[0]
        batches = self.batches(examples)
        order = epoch_order(examples, seed, first // tf.maximum(batches, 1))
        walk = Walk(tf.zeros([], tf.int32), tf.zeros([]), tf.zeros([], tf.int32))
        for step in tf.range(first, last):
            tf.autograph.experimental.set_loop_options(
                shape_invariants=[(order, tf.TensorShape([None]))]
            )
            if step % batches == 0:
                order = epoch_order(examples, seed, step // batches)
            batch = self._batch_of(order, x, y, seed, step)
            walk = walk.with_batch(self.train_step(*batch), batch)
        return walk

    def train_step(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """One step on a batch; returns its mean loss before it, float32 []."""
        loss, gradients = self.loss_and_gradients(Batch(x, y, seed))
        self._optimizer.step(self.weights, gradients, self.slots)
        return loss

    def loss_and_gradients(self, batch: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Mean loss of a batch at the variables' values, and its gradient by them."""
        with seeded_random_layers(self._model, batch.seed), tf.GradientTape() as tape:
            outputs = self._model(model_input(batch.x, self._model), training=True)
            loss = tf.reduce_mean(self._loss(batch.y, outputs))
        return loss, _gradients(tape, loss, self.weights)

    def hessian_product(self, batch: Batch, vector: list[tf.Tensor]) -> list[tf.Tensor]:
        """The Hessian of a batch's loss at the variables' values, times a vector."""
        with tf.GradientTape() as tape:
            _, gradients = self.loss_and_gradients(batch)
            pairs = zip(gradients, vector, strict=True)
            dot = tf.add_n([tf.reduce_sum(g * tf.stop_gradient(v)) for g, v in pairs])
        return _gradients(tape, dot, self.weights)


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


def _gradients(
    tape: tf.GradientTape, target: tf.Tensor, weights: list[tf.Variable]
) -> list[tf.Tensor]:
    gradients = tape.gradient(
        target, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return [_dense(gradient) for gradient in gradients]


def _dense(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    """An embedding's gradient comes as rows; optimizers and servers want it whole."""
    if isinstance(gradient, tf.IndexedSlices):
        rows = gradient.dense_shape[0]
        return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, rows)
    return gradient
