"""Embeddings: rows of a table, and the gradient that sums into them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.matmul import product, transposed
from fedp.export.lowering.table import Scope, lowers

_SMALL = 1024  # rows


def rows(table: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Rows [*indices, d] of a variable's value [V, d]."""
    return tf.gather(table, indices)


@lowers("UnsortedSegmentSum")
def unsorted_segment_sum(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Sums rows [m, d] by their index into [V, d]."""
    rows, indices, _ = inputs
    count, width = op.outputs[0].shape
    if count <= _SMALL:
        hot = tf.one_hot(indices, count)
        return [product(transposed(hot), rows)]
    return [tf.scatter_nd(tf.expand_dims(indices, 1), rows, [count, width])]
