"""Comparisons as numbers 0 and 1, by arithmetic that delegates take."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def is_positive(a: tf.Tensor) -> tf.Tensor:
    """1.0 where a > 0, else 0.0, for a >= 0.

    A clip to -1..1 is one fused builtin (RELU_N1_TO_1) and the ceiling of 0..1 is
    exactly 0 or 1.
    """
    return tf.math.ceil(tf.clip_by_value(a, -1.0, 1.0))


def above(a: tf.Tensor, b: tf.Tensor | float = 0.0) -> tf.Tensor:
    """1.0 where a > b, else 0.0: a difference of floats is 0 for equal ones alone."""
    return is_positive(tf.nn.relu(a - b))


def number_of(condition: tf.Tensor) -> tf.Tensor:
    """A condition as 1.0 and 0.0, without CAST where it compares floats."""
    op = condition.op
    if op.type == "LogicalNot":
        return 1.0 - number_of(op.inputs[0])
    if op.type in _COMPARISONS and op.inputs[0].dtype == tf.float32:
        return _COMPARISONS[op.type](*op.inputs)
    return tf.cast(condition, tf.float32)


_COMPARISONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "Greater": above,
    "Less": lambda a, b: above(b, a),
    "GreaterEqual": lambda a, b: 1.0 - above(b, a),
    "LessEqual": lambda a, b: 1.0 - above(a, b),
}
