"""Gradients of a lowered training graph beside TensorFlow's own."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from fedp.device_runtime.contract import CROSS_ENTROPY
from fedp.export.losses import Loss, loss_for
from fedp.export.lowering.randomness import SEEDED
from fedp.export.lowering.rewrite import rewrite
from fedp.export.signatures import train_graph
from fedp.export.trainable import parts_of

ONE = tf.ones([1])
TOLERANCE = 1e-5  # of the largest entry: float32 sums in another order


def graph_of(model: tf.keras.Model, loss: str = CROSS_ENTROPY):
    """The traced training graph: loss and gradients."""
    return train_graph(parts_of(model), loss_for(model, loss))


def compare(
    model: tf.keras.Model,
    x: np.ndarray,
    weight: np.ndarray | None = None,
    loss: str = CROSS_ENTROPY,
    y: np.ndarray | None = None,
    random: bool = False,
) -> set[str]:
    """Asserts equal loss and gradients; returns the op types of the lowered graph.

    Args:
        model: called with training=False by TensorFlow, as batch normalization is on
            a device.
        x: inputs.
        weight: of each example; 1 without.
        loss: one of `contract.LOSSES`.
        y: labels; drawn without.
        random: the model draws random numbers, so that TensorFlow's side is the same
            graph with TensorFlow's own ops and the file's seeds.
    """
    rule = loss_for(model, loss)
    y = labels(rule, len(x)) if y is None else y
    weight = np.ones(len(x), np.float32) if weight is None else weight
    inputs = [tf.constant(x), tf.constant(y), tf.constant(weight)]
    found, ops = lowered(model, loss, inputs)
    if random:
        expected, _ = lowered(model, loss, inputs, table=SEEDED, strict=False)
    else:
        expected = taped(model, rule, *inputs)
    names = ["loss", *(v.name for v in parts_of(model).trained)]
    largest = max(float(np.abs(gradient).max()) for gradient in expected[1:])
    for name, a, b in zip(names, expected, found, strict=True):
        scale = float(np.abs(a).max())
        # A gradient that is 0 but for rounding has no scale of its own.
        scale = scale if scale > TOLERANCE * largest else largest
        np.testing.assert_allclose(b, a, atol=TOLERANCE * scale, rtol=0, err_msg=name)
    return ops


def labels(rule: Loss, n: int) -> np.ndarray:
    """Random ones that fit the loss."""
    random = np.random.default_rng(1)
    shape = (n, *rule.labels.shape)
    if rule.labels.are_classes:
        return random.integers(0, rule.classes, shape).astype(np.int32)
    return random.random(shape, dtype=np.float32)


def lowered(model, loss, inputs, **options):
    """Loss and gradients of the rewritten graph, and its op types."""
    graph, parts = graph_of(model, loss), parts_of(model)
    frozen = {id(v.handle): tf.constant(v.numpy()) for v in parts.frozen}

    @tf.function(autograph=False)
    def function(x, y, weight, *values):
        named = {id(v.handle): value for v, value in zip(parts.trained, values)}
        return rewrite(graph, [x, y, weight, ONE], named | frozen, **options)

    values = [tf.constant(v.numpy()) for v in parts.trained]
    specs = [tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in inputs]
    concrete = function.get_concrete_function(*specs, *values)
    ops = {op.type for op in concrete.graph.get_operations()}
    return concrete(*inputs, *values), ops


def taped(model, rule: Loss, x, y, weight):
    """Loss and gradients of the Keras model as TensorFlow takes them."""
    share = weight / tf.maximum(tf.reduce_sum(weight), 1e-12)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rule.of_example(y, model(x, training=False)) * share)
    gradients = tape.gradient(loss, parts_of(model).trained)
    return [loss, *map(tf.convert_to_tensor, gradients)]
