"""Pooling and its gradients tap by tap; ties go to the first maximum."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lattice import put, take
from fedp.export.lowering.lines import reshaped, total
from fedp.export.lowering.masks import is_positive
from fedp.export.lowering.planes import NHWC, Image, Planes, nhwc, planes_of, simplest
from fedp.export.lowering.table import Scope, lowers
from fedp.export.lowering.windows import Geometry, pool_geometry

_LOWEST = -3.0e38  # below every value; a padded pixel never is the maximum


@lowers("MaxPool", takes_planes=True)
def max_pool(op: tf.Operation, inputs: Sequence[Image], scope: Scope) -> list[Image]:
    """The largest tap of each window; the builtin where x is no planes."""
    x = inputs[0]
    geometry = pool_geometry(op, x.shape)
    if not isinstance(x, Planes) or x.steps != geometry.strides:
        return [_builtin(op, nhwc(x, scope))]
    y = functools.reduce(tf.maximum, _taps(x, geometry, scope, _LOWEST))
    return [_as_image(y, geometry, x.channels)]


@lowers("AvgPool", takes_planes=True)
def avg_pool(op: tf.Operation, inputs: Sequence[Image], scope: Scope) -> list[Image]:
    """The mean of each window's taps that are no padding."""
    x = inputs[0]
    geometry = pool_geometry(op, x.shape)
    if not isinstance(x, Planes) or x.steps != geometry.strides:
        return [_builtin(op, nhwc(x, scope))]
    y = _as_image(total(_taps(x, geometry, scope)), geometry, x.channels)
    return [y * _shares(geometry)]


@lowers("MaxPoolGrad", takes_planes=True)
def max_pool_grad(
    op: tf.Operation, inputs: Sequence[Image], scope: Scope
) -> list[Image]:
    """Each window's gradient goes to its first maximum, as in TensorFlow."""
    x, y, gradient = inputs
    geometry = pool_geometry(op, x.shape)
    x = planes_of(x, geometry.strides, scope)
    y, left = (planes_of(image, NHWC, scope).rows[0][0] for image in (y, gradient))
    following = _relu_gradients(op)
    if following:
        left = left * is_positive(y)
        bias_gradient = tf.reduce_sum(left, axis=0)
    shares = []
    for tap in _taps(x, geometry, scope, _LOWEST)[:-1]:
        passed = left * is_positive(y - tap)
        shares.append(left - passed)
        left = passed
    spread = _spread([*shares, left], geometry, x.channels, scope)
    for relu_gradient in following:
        scope.done[relu_gradient] = [spread]
        for consumer in relu_gradient.outputs[0].consumers():
            if consumer.type == "BiasAddGrad":
                scope.done[consumer] = [bias_gradient]
    return [spread]


@lowers("AvgPoolGrad", takes_planes=True)
def avg_pool_grad(
    op: tf.Operation, inputs: Sequence[Image], scope: Scope
) -> list[Image]:
    """Each tap of a window gets the same share of its gradient."""
    shape, gradient = op.outputs[0].shape, nhwc(inputs[1], scope)
    geometry = pool_geometry(op, shape)
    share = reshaped(gradient * _shares(geometry), [-1, shape[3]])
    return [_spread([share] * len(geometry.taps), geometry, shape[3], scope)]


def _relu_gradients(op: tf.Operation) -> list[tf.Operation]:
    """The ReLU gradients that alone follow, of the activation that was pooled.

    A maximum that is not positive has no gradient, wherever it was: zeroing that
    before it is spread does their work on a window in place of its pixels.
    """
    following = op.outputs[0].consumers()
    fit = all(c.type == "ReluGrad" and c.inputs[1] is op.inputs[0] for c in following)
    return list(following) if fit and op.inputs[0].op.type == "Relu" else []


def _taps(
    x: Planes, geometry: Geometry, scope: Scope, fill: float = 0.0
) -> list[tf.Tensor]:
    return [take(x, first, geometry.output, scope, fill) for first in geometry.firsts()]


def _spread(
    shares: Sequence[tf.Tensor], geometry: Geometry, channels: int, scope: Scope
) -> Image:
    """The sum of each tap's share [n * windows, c], put where the tap was."""
    terms = [
        (first, geometry.output, share)
        for first, share in zip(geometry.firsts(), shares, strict=True)
    ]
    return simplest(put(terms, geometry.strides, geometry.size, channels), scope)


def _shares(geometry: Geometry) -> np.ndarray:
    """1 / how many taps of each window are in the image, [1, down, across, 1]."""
    counts = []
    for axis in (0, 1):
        firsts = np.arange(geometry.output[axis]) * geometry.strides[axis]
        taps = firsts[:, None] + np.arange(geometry.window[axis])
        taps -= geometry.padding[axis][0]
        counts.append(((taps >= 0) & (taps < geometry.size[axis])).sum(1))
    shares: np.ndarray = (1.0 / np.outer(*counts)).astype(np.float32)
    if (shares == shares[0, 0]).all():
        shares = shares[:1, :1]
    return shares[None, :, :, None]


def _as_image(rows: tf.Tensor, geometry: Geometry, channels: int) -> tf.Tensor:
    return reshaped(rows, [-1, *geometry.output, channels])


def _builtin(op: tf.Operation, x: tf.Tensor) -> tf.Tensor:
    pool = tf.nn.max_pool2d if op.type == "MaxPool" else tf.nn.avg_pool2d
    window, strides = op.get_attr("ksize"), op.get_attr("strides")
    return pool(x, window[1:3], strides[1:3], op.get_attr("padding").decode())
