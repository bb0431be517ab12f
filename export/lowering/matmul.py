"""Matrix products as BATCH_MATMUL, which XNNPACK takes with variable weights."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.lines import reshaped
from fedp.export.lowering.table import Scope, lowers


def product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a [m, k] times b [k, n].

    As BATCH_MATMUL: the converter would make tf.matmul a FULLY_CONNECTED, which no
    delegate takes unless its weights are constant. With three axes where m is unknown:
    of a reshape, a product and a reshape the converter of TensorFlow 2.14 leaves both
    reshapes out, wrongly, if all has two.
    """
    if a.shape[0] is not None:
        return bare_product(a, b)
    three = bare_product(reshaped(a, [1, -1, a.shape[1]]), b)
    return reshaped(three, [-1, b.shape[1]])


def bare_product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The same, for a product that is summed before anything reshapes it."""
    return tf.raw_ops.BatchMatMulV2(x=a, y=b)


def transposed(a: tf.Tensor) -> tf.Tensor:
    """a [m, n] as [n, m], through 3-D: on 2-D the converter would fuse it again."""
    rows, columns = a.shape.as_list()
    three = tf.reshape(a, [1, _size(rows), _size(columns)])
    swapped = tf.transpose(three, [0, 2, 1])
    return tf.reshape(swapped, [_size(columns), _size(rows)])


def gram(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a^T b, for a [m, k] and b [m, n], m the long side."""
    return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_x=True)


@lowers("MatMul")
def matmul(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """MatMul, transposes spelled out: adj_y is 3 to 4 times slower on TFLite 2.14.

    A batch times transposed weights is made as (weights batch^T)^T, so that the small
    matrix is the one that a kernel transposes or packs.
    """
    a, b = inputs
    if op.get_attr("transpose_a"):
        b = transposed(b) if op.get_attr("transpose_b") else b
        if None not in a.shape:  # A recurrent kernel: transposed once for all steps.
            return [product(scope.once(("t", a.ref()), lambda: transposed(a)), b)]
        return [gram(a, b)]
    if not op.get_attr("transpose_b"):
        return [product(a, b)]
    if a.shape[0] is None and b.shape[0] is not None:
        return [transposed(product(b, transposed(a)))]
    value = product(a, transposed(b))
    scope.memo["outer", value.ref()] = (a, b)
    return [value]


def outer_factors(value: tf.Tensor, scope: Scope) -> tuple[tf.Tensor, tf.Tensor] | None:
    """(a, b) where `value` was made as a b^T, a [i, n] and b [j, n]."""
    found: tuple[tf.Tensor, tf.Tensor] | None = scope.memo.get(("outer", value.ref()))
    return found


def _size(dimension: int | None) -> int:
    return -1 if dimension is None else dimension
