"""Biases: a broadcast sum, and its gradient, the sum over all pixels."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.lines import total
from fedp.export.lowering.planes import Image, Planes
from fedp.export.lowering.table import Scope, lowers


@lowers("BiasAdd")
def bias_add(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """BiasAdd is a broadcast Add over the last axis."""
    return [tf.add(*inputs)]


@lowers("BiasAddGrad", takes_planes=True)
def bias_add_grad(
    op: tf.Operation, inputs: Sequence[Image], scope: Scope
) -> list[tf.Tensor]:
    """The sum over all axes but the last, as a 2-D sum; planes are added up first."""
    gradient = inputs[0]
    if not isinstance(gradient, Planes):
        rows = tf.reshape(gradient, [-1, gradient.shape[-1]])
        return [tf.reduce_sum(rows, axis=0)]
    by_size: dict[tuple[int, int], list[tf.Tensor]] = {}
    for r, s, rows in gradient:
        by_size.setdefault(gradient.plane_size(r, s), []).append(rows)
    return [
        total([tf.reduce_sum(total(planes), axis=0) for planes in by_size.values()])
    ]
