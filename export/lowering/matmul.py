"""Matrix products as BATCH_MATMUL, which XNNPACK takes with variable weights."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


def product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a [m, k] times b [k, n].

    As BATCH_MATMUL: the converter would make tf.matmul a FULLY_CONNECTED, which no
    delegate takes unless its weights are constant. With three axes where m is unknown:
    of a reshape, a product and a reshape the converter of TensorFlow 2.14 leaves both
    reshapes out, wrongly, if all has two.
    """
    if a.shape[0] is not None:
        return tf.raw_ops.BatchMatMulV2(x=a, y=b)
    three = tf.raw_ops.BatchMatMulV2(x=tf.reshape(a, [1, -1, a.shape[1]]), y=b)
    return tf.reshape(three, [-1, b.shape[1]])


def transposed(a: tf.Tensor) -> tf.Tensor:
    """a [m, n] as [n, m], through 3-D: on 2-D the converter would fuse it again."""
    rows, columns = a.shape.as_list()
    three = tf.reshape(a, [1, _size(rows), _size(columns)])
    swapped = tf.transpose(three, [0, 2, 1])
    return tf.reshape(swapped, [_size(columns), _size(rows)])


@lowers("MatMul")
def matmul(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """MatMul, transposes spelled out: adj_y is 3 to 4 times slower on TFLite 2.14."""
    a, b = inputs
    if op.get_attr("transpose_a"):
        b = transposed(b) if op.get_attr("transpose_b") else b
        # A recurrent kernel: transposed once for all steps.
        return [product(scope.once(("transposed", a.ref()), lambda: transposed(a)), b)]
    if not op.get_attr("transpose_b"):
        return [product(a, b)]
    value = product(a, transposed(b))
    scope.memo["outer", value.ref()] = (a, b)
    return [value]


@lowers("BiasAdd")
def bias_add(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """BiasAdd is a broadcast Add over the last axis."""
    return [tf.add(*inputs)]


@lowers("BiasAddGrad")
def bias_add_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The bias' gradient: the sum over all axes but the last, as a 2-D sum."""
    gradient = inputs[0]
    return [tf.reduce_sum(tf.reshape(gradient, [-1, gradient.shape[-1]]), axis=0)]


def outer_factors(value: tf.Tensor, scope: Scope) -> tuple[tf.Tensor, tf.Tensor] | None:
    """(a, b) where `value` was made as a b^T, a [i, n] and b [j, n]."""
    found: tuple[tf.Tensor, tf.Tensor] | None = scope.memo.get(("outer", value.ref()))
    return found


def _size(dimension: int | None) -> int:
    return -1 if dimension is None else dimension
