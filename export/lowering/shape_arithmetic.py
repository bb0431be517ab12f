"""Shape arithmetic that is known while tracing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


@lowers("InvertPermutation")
def invert_permutation(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The permutation that undoes a constant one."""
    return [tf.constant(np.argsort(tf.get_static_value(inputs[0])), tf.int32)]


@lowers("Size")
def size(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Number of elements."""
    return [tf.size(inputs[0])]


@lowers("Range")
def range_(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A constant range."""
    known = tf.get_static_value(op.outputs[0])
    return [tf.range(*inputs) if known is None else tf.constant(known)]


@lowers("VariableShape")
def variable_shape(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The shape of a weight."""
    return [tf.constant(inputs[0].shape.as_list(), op.outputs[0].dtype)]
