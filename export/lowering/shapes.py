"""Lowerings of ops that compute with shapes, so that a batch of -1 stays one number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    known = _target(op, shape)
    if known is None or known.count(None) > 1:
        return [tf.reshape(x, shape)]
    if x.shape.rank is not None and x.shape.as_list() == known:
        return [x]
    return [tf.reshape(x, [-1 if d is None else d for d in known])]


def _target(op: tf.Operation, shape: tf.Tensor) -> list[int | None] | None:
    """A reshape's target, None for the batch.

    A layer may know more of its output than its shape arithmetic tells.
    """
    known, static = known_dimensions(shape), op.outputs[0].shape
    if known is None or static.rank is None:
        return static.as_list() if known is None and static.rank is not None else known
    pairs = zip(known, static.as_list(), strict=True)
    return [s if k in (None, -1) else k for k, s in pairs]


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


@lowers("MatrixBandPart")
def band(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A band of ones, as causal masks are, is a constant."""
    x, lower, upper = inputs
    shape = None if x.op.type != "Fill" else known_dimensions(x.op.inputs[0])
    fixed = [d for d in shape or () if d is not None]
    if shape is None or len(fixed) < len(shape):
        raise ExportError(
            f"{place(op)}: MatrixBandPart of what is not constant: multiply by a mask"
        )
    value = tf.get_static_value(x.op.inputs[1])
    whole = np.full(fixed, value)
    columns, rows = np.arange(whole.shape[-1]), np.arange(whole.shape[-2])[:, None]
    below, beyond = (int(tf.get_static_value(t)) for t in (lower, upper))
    kept = (below < 0) | (rows - columns <= below)
    kept = kept & ((beyond < 0) | (columns - rows <= beyond))
    return [tf.constant(np.where(kept, whole, np.zeros_like(whole)), x.dtype)]
