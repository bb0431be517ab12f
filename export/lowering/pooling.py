"""Pooling gradients by slices and arithmetic masks; ties go to the first maximum."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.masks import is_positive
from fedp.export.lowering.table import Scope, lowers
from fedp.export.lowering.windows import Geometry, crop, pad, put, take

_LOWEST = -3.0e38  # below every value; a padded pixel never is the maximum


@lowers("MaxPoolGrad")
def max_pool_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Each window's gradient goes to its first maximum, as in TensorFlow."""
    x, y, gradient = inputs
    geometry = _geometry(op, x)
    padded = pad(x, geometry, _LOWEST)
    left, total = gradient, None
    for tap in geometry.taps[:-1]:
        missed = is_positive(y - take(padded, tap, geometry))
        passed = left * missed
        placed = put(left - passed, tap, geometry)
        total = placed if total is None else total + placed
        left = passed
    last = put(left, geometry.taps[-1], geometry)
    return [crop(last if total is None else total + last, geometry)]


def _geometry(op: tf.Operation, x: tf.Tensor) -> Geometry:
    window, strides = op.get_attr("ksize"), op.get_attr("strides")
    return Geometry.of(
        (x.shape[1], x.shape[2]),
        (window[1], window[2]),
        (strides[1], strides[2]),
        (1, 1),
        op.get_attr("padding").decode(),
    )
