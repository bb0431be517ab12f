"""Batch and layer normalization; Keras makes the second one of the first one's op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fedp.export.lowering.shapes import dimensions
from fedp.export.lowering.table import Scope, lowers


class _Standard(NamedTuple):
    """x of an op as the statistics see it.

    Attributes:
        x: centered and divided by its deviation.
        inverse: 1 / deviation, broadcastable to x.
        axes: which the statistics are over.
        shape: that of a vector of channels beside x.
        mean: of each channel.
        variance: of each channel.
    """

    x: tf.Tensor
    inverse: tf.Tensor
    axes: list[int]
    shape: list[int]
    mean: tf.Tensor
    variance: tf.Tensor


@lowers("FusedBatchNormV3")
def fused_batch_norm(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset.

    The statistics are the batch's own in training mode, else those given.
    """
    x, scale, offset, mean, variance = inputs
    standard = _standard(op, x, mean, variance, scope)
    y = standard.x
    if not _is(scale, 1.0):
        y = y * tf.reshape(scale, standard.shape)
    if not _is(offset, 0.0):
        y = y + tf.reshape(offset, standard.shape)
    mean, variance = standard.mean, standard.variance
    return [y, mean, variance, mean, variance, mean]


@lowers("FusedBatchNormGradV3")
def fused_batch_norm_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Gradients by x, scale and offset.

    With h = (x - mean) / deviation and d = g scale: dx = d / deviation, and where the
    statistics depend on x, dx = (d - mean(d) - h mean(d h)) / deviation.
    """
    gradient, x, scale, mean, variance, _ = inputs
    standard = _standard(op, x, mean, variance, scope)
    axes = standard.axes
    d = gradient
    if not _is(scale, 1.0):
        d = d * tf.reshape(scale, standard.shape)
    if op.get_attr("is_training"):
        along = standard.x * tf.reduce_mean(d * standard.x, axes, keepdims=True)
        d = d - tf.reduce_mean(d, axes, keepdims=True) - along
    dscale = tf.reduce_sum(gradient * standard.x, axes)
    return [d * standard.inverse, dscale, tf.reduce_sum(gradient, axes), mean, mean]


def _standard(
    op: tf.Operation,
    x: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    scope: Scope,
) -> _Standard:
    """Shared by an op and its gradient, which in training mode gives no statistics."""
    epsilon = op.get_attr("epsilon")
    training = bool(op.get_attr("is_training"))
    first = op.get_attr("data_format") == b"NCHW"
    axes = [0, 2, 3] if first else [0, 1, 2]
    shape = [1, dimensions(x)[1], 1, 1] if first else [dimensions(x)[3]]

    def make() -> _Standard:
        if training:
            known_mean = tf.reduce_mean(x, axes, keepdims=True)
            centered = x - known_mean
            spread = tf.reduce_mean(centered * centered, axes, keepdims=True)
            found = tf.reshape(known_mean, [-1]), tf.reshape(spread, [-1])
        else:
            centered = x - tf.reshape(mean, shape)
            spread = tf.reshape(variance, shape)
            found = mean, variance
        inverse = tf.math.rsqrt(spread + epsilon)
        return _Standard(centered * inverse, inverse, axes, shape, *found)

    key = () if training else (mean.ref(), variance.ref())
    result: _Standard = scope.once(
        ("standard", x.ref(), epsilon, training, first, *key), make
    )
    return result


def _is(tensor: tf.Tensor, number: float) -> bool:
    """Whether all entries are known to be this number."""
    filled = tensor.op.inputs[1] if tensor.op.type == "Fill" else tensor
    value = tf.get_static_value(filled)
    return value is not None and bool(np.all(value == number))
