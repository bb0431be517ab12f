"""Embeddings: rows of a table, and the gradient that sums into them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


def rows(table: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Rows [*indices, d] of a variable's value [V, d]."""
    return tf.gather(table, indices)


@lowers("UnsortedSegmentSum")
def unsorted_segment_sum(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Sums rows [m, d] by their index into [V, d]; SCATTER_ND adds what meets.

    At 1600 rows of 8 into 90 it takes 0.01 ms, a product with one-hot rows 0.2 to 28,
    and at 64 into 20,000 0.07 against UNSORTED_SEGMENT_SUM's 1.6.
    """
    rows, indices, _ = inputs
    return [tf.scatter_nd(tf.expand_dims(indices, 1), rows, op.outputs[0].shape)]
