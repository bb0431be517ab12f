"""Lowerings of ops that compute with shapes, so that a batch of -1 stays one number."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.framework import tensor_util

from fedp.export.lowering.table import Scope, lowers


def known_dimensions(shape: tf.Tensor) -> list[int | None] | None:
    """What is known of a shape tensor while tracing; None for the batch."""
    known = tensor_util.constant_value_as_shape(shape)
    return None if known.rank is None else known.as_list()


@lowers("Reshape")
def reshape(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Reshape with a constant target, -1 for the batch."""
    x, shape = inputs
    known = known_dimensions(shape)
    if known is None or known.count(None) > 1:
        # A layer may know more of its output than its shape arithmetic tells.
        static = op.outputs[0].shape
        known = static.as_list() if static.rank is not None else known
    if known is not None and known.count(None) <= 1:
        target = [-1 if d is None else d for d in known]
        if x.shape.rank is not None and x.shape.as_list() == known:
            return [x]
        return [tf.reshape(x, target)]
    return [tf.reshape(x, shape)]


@lowers("ShapeN")
def shape_n(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """ShapeN is one Shape an input."""
    return [tf.shape(x) for x in inputs]


@lowers("BroadcastGradientArgs")
def broadcast_gradient_args(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Axes that a gradient is summed over, known while tracing."""
    shapes = [known_dimensions(s) or [] for s in inputs]
    rank = max(len(s) for s in shapes)
    padded = [[*[1] * (rank - len(s)), *s] for s in shapes]
    return [
        tf.constant(
            [
                axis
                for axis in range(rank)
                if mine[axis] == 1 and (other[axis] != 1 or axis < rank - len(shape))
            ],
            tf.int32,
        )
        for mine, other, shape in zip(padded, reversed(padded), shapes, strict=True)
    ]


@lowers("Sum")
def sum_(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Sum, left out where there is no axis to sum over."""
    x, axes = inputs
    known = tf.get_static_value(axes)
    if known is not None and known.size == 0:
        return [x]
    return [tf.reduce_sum(x, axes, keepdims=op.get_attr("keep_dims"))]
