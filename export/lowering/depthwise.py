"""Depthwise convolution tap by tap: a product and a sum of whole images each.

XNNPACK takes DEPTHWISE_CONV_2D with constant weights alone. Several filters a channel
are one filter each of repeated channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lattice import put, take
from fedp.export.lowering.layout import stride_of, wanted_steps
from fedp.export.lowering.lines import concat, reshaped, total
from fedp.export.lowering.matmul import product
from fedp.export.lowering.planes import (
    NHWC,
    Image,
    Planes,
    build,
    map_rows,
    planes_of,
    simplest,
)
from fedp.export.lowering.table import Scope, lowers
from fedp.export.lowering.windows import Geometry, conv_geometry


@lowers("DepthwiseConv2dNative", takes_planes=True)
def depthwise(op: tf.Operation, inputs: Sequence[Any], scope: Scope) -> list[Image]:
    """y = sum over taps of x seen by the tap, times its filter [kh, kw, c, m]."""
    x, filters = inputs
    geometry = conv_geometry(op, x.shape, filters.shape)
    steps = wanted_steps(op)
    scope.memo["steps", op.inputs[0].ref(), geometry] = steps
    scope.memo["steps", op.inputs[1].ref(), geometry] = steps
    x = _repeated(x, geometry, steps, filters.shape[3], scope)
    taps, weights = geometry.firsts(), _weights(filters)
    shape = Planes((), steps, geometry.output, x.channels)

    def plane(r: int, s: int) -> tf.Tensor:
        count = shape.plane_size(r, s)
        seen = [take(x, _moved(f, geometry, r, s), count, scope) for f in taps]
        return total([a * w for a, w in zip(seen, weights, strict=True)])

    y = build(steps, geometry.output, x.channels, plane)
    return [simplest(y, scope)]


@lowers("DepthwiseConv2dNativeBackpropFilter", takes_planes=True)
def depthwise_backprop_filter(
    op: tf.Operation, inputs: Sequence[Any], scope: Scope
) -> list[tf.Tensor]:
    """dw: what each tap saw times dy, summed over all pixels."""
    x, _, dy = inputs
    shape = op.outputs[0].shape
    geometry = conv_geometry(op, x.shape, shape)
    steps = scope.memo.get(("steps", op.inputs[0].ref(), geometry), NHWC)
    dy = planes_of(dy, steps, scope)
    x = _repeated(x, geometry, steps, shape[3], scope)
    gradients = []
    for first in geometry.firsts():
        shares = []
        for r, s, rows in dy:
            count = dy.plane_size(r, s)
            seen = take(x, _moved(first, geometry, r, s), count, scope)
            shares.append(tf.reduce_sum(seen * rows, axis=0, keepdims=True))
        gradients.append(total(shares))
    return [reshaped(concat(gradients, axis=0), shape)]


@lowers("DepthwiseConv2dNativeBackpropInput", takes_planes=True)
def depthwise_backprop_input(
    op: tf.Operation, inputs: Sequence[Any], scope: Scope
) -> list[Image]:
    """dx: dy times each tap's filter, put where the tap saw, and summed."""
    _, filters, dy = inputs
    geometry = conv_geometry(op, op.outputs[0].shape, filters.shape)
    steps = scope.memo.get(("steps", op.inputs[1].ref(), geometry), NHWC)
    dy = planes_of(dy, steps, scope)
    terms = [
        (_moved(first, geometry, r, s), dy.plane_size(r, s), rows * weight)
        for first, weight in zip(geometry.firsts(), _weights(filters), strict=True)
        for r, s, rows in dy
    ]
    dx = put(terms, stride_of(geometry, steps), geometry.size, dy.channels)
    times = filters.shape[3]
    if times > 1:
        sums = tf.constant(_repetition(filters.shape[2], times).T)
        dx = map_rows(dx, lambda rows: product(rows, sums), filters.shape[2])
    return [simplest(dx, scope)]


def _repeated(
    x: Image, geometry: Geometry, steps: tuple[int, int], times: int, scope: Scope
) -> Planes:
    """x in the planes needed, each channel `times` times in a row."""
    planes = planes_of(x, stride_of(geometry, steps), scope)
    if times == 1:
        return planes
    matrix = _repetition(planes.channels, times)

    def repeat() -> Planes:
        wide = tf.constant(matrix)
        return map_rows(planes, lambda rows: product(rows, wide), matrix.shape[1])

    return scope.once(("repeated", planes, times), repeat)


def _repetition(channels: int, times: int) -> np.ndarray:
    return np.repeat(np.eye(channels, dtype=np.float32), times, axis=1)


def _weights(filters: tf.Tensor) -> list[tf.Tensor]:
    """Each tap's filter, [1, c * m]."""
    height, width, channels, times = filters.shape
    taps = reshaped(filters, [height * width, channels * times])
    return [taps[i : i + 1, :] for i in range(height * width)]


def _moved(
    first: tuple[int, int], geometry: Geometry, r: int, s: int
) -> tuple[int, int]:
    """Where a tap of plane (r, s)'s first window looks."""
    return first[0] + r * geometry.strides[0], first[1] + s * geometry.strides[1]
