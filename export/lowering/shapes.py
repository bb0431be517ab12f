"""Lowerings of ops that compute with shapes, so that a batch of -1 stays one number."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.framework import tensor_util

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering import shape_values
from fedp.export.lowering.table import Scope, lowers, place


def known_dimensions(shape: tf.Tensor) -> list[int | None] | None:
    """What is known of a shape tensor while tracing; None for the batch."""
    found = shape_values.known_dimensions(shape)
    if found is None:
        known = tensor_util.constant_value_as_shape(shape)
        found = None if known.rank is None else known.as_list()
    return found


def dimensions(x: tf.Tensor) -> list[int]:
    """A tensor's shape with -1 for the batch."""
    return [-1 if d is None else d for d in x.shape.as_list()]


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
    return shape_values.folded([tf.shape(x) for x in inputs])


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


@lowers("BroadcastTo")
def broadcast_to(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Ones of the shape times the tensor, left out where the shape is the same.

    Ones over a batch come from something of that batch.
    """
    x, shape = inputs
    known = known_dimensions(shape)
    if known is None:
        raise ExportError(
            f"{place(op)}: BroadcastTo a shape that is not known: give the model's "
            "Input a full shape"
        )
    if x.shape.as_list() == known:
        return [x]
    if None not in known:
        return [x * tf.ones(known, x.dtype)]
    return [x * tf.ones(shape, x.dtype)]


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


@lowers("Transpose")
def transpose(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Transpose, left out where every axis stays."""
    x, order = inputs
    known = tf.get_static_value(order)
    if known is not None and list(known) == list(range(len(known))):
        return [x]
    return [tf.transpose(x, order)]
