"""Gradients of means and maxima over an image, as global pooling has them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.activation import is_positive
from fedp.export.lowering.shapes import known_dimensions
from fedp.export.lowering.table import Scope, lowers


@lowers("BroadcastTo")
def broadcast_to(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A product with ones, which XNNPACK takes, where the batch alone is unknown."""
    x = inputs[0]
    known = known_dimensions(op.inputs[1])
    if known is None or x.shape.rank != len(known) or not x.dtype.is_floating:
        return [tf.broadcast_to(*inputs)]
    if known[0] is not None or None in known[1:] or x.shape[0] is not None:
        return [tf.broadcast_to(*inputs)]
    ones = [b if a == 1 else 1 for a, b in zip(x.shape[1:], known[1:], strict=True)]
    return [x * tf.ones([1, *ones])]


@lowers("Cast")
def cast(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Equality as 1.0 or 0.0 by arithmetic, since EQUAL and CAST are not delegated."""
    x, to = inputs[0], op.get_attr("DstT")
    if x.op.type == "Equal" and to == tf.float32 == x.op.inputs[0].dtype:
        a, b = x.op.inputs
        return [1.0 - is_positive(tf.abs(a - b))]
    return [tf.cast(x, to)]
