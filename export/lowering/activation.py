"""Activation gradients as arithmetic: no SELECT and no zero constants in the file."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


def is_positive(a: tf.Tensor) -> tf.Tensor:
    """1.0 where a > 0, else 0.0, for a >= 0.

    A clip to -1..1 is one fused builtin (RELU_N1_TO_1) and the ceiling of 0..1 is
    exactly 0 or 1.
    """
    return tf.math.ceil(tf.clip_by_value(a, -1.0, 1.0))


@lowers("ReluGrad")
def relu_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The gradient passes where the output is positive."""
    gradient, features = inputs
    if op.inputs[1].op.type != "Relu":
        features = tf.nn.relu(features)
    return [gradient * is_positive(features)]


@lowers("SigmoidGrad")
def sigmoid_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g y (1 - y)."""
    y, gradient = inputs
    return [gradient * y * (1.0 - y)]


@lowers("TanhGrad")
def tanh_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g (1 - y^2)."""
    y, gradient = inputs
    return [gradient * (1.0 - y * y)]


@lowers("Reciprocal", "Inv")
def reciprocal(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """1 / x, the gradient of a logarithm."""
    return [1.0 / inputs[0]]


@lowers("SelectV2")
def select(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A choice against zeros (dropout) is a product with the condition."""
    condition, yes, no = inputs
    if _is_zero(op.inputs[2]):
        return [yes * tf.cast(condition, yes.dtype)]
    if _is_zero(op.inputs[1]):
        return [no * tf.cast(tf.logical_not(condition), no.dtype)]
    return [tf.where(condition, yes, no)]


def _is_zero(tensor: tf.Tensor) -> bool:
    if tensor.op.type == "ZerosLike":
        return True
    value = tf.get_static_value(tensor, partial=False)
    if value is None and tensor.op.type == "Fill":
        value = tf.get_static_value(tensor.op.inputs[1])
    return value is not None and not value.any()
