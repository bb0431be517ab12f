"""Conv2D and its gradients: which spelling serves which convolution.

`layout.fits_winograd` has what was measured of Winograd. Of the others, milliseconds a
training step of one convolution to 32 channels, batch 20, `narrow` against `patches`:

    image, window, stride   channels   LiteRT 2.3     TFLite 2.14
    28x28  5x5     1        1          0.8    1.3     1.3    3.2
    28x28  5x5     1        3          1.6    1.9     2.9    7.8
    28x28  5x5     1        6          2.9    3.0     9.9    9.3
    32x32  3x3     2        3          0.27   0.42    0.40   0.66
    28x28  3x3     2        6          0.31   0.39    0.50   0.66
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fedp.export.lowering import narrow, patches, scatter, winograd
from fedp.export.lowering.layout import fits_winograd, stride_of, wanted_steps
from fedp.export.lowering.planes import (
    NHWC,
    Image,
    Planes,
    nhwc,
    planes_of,
    simplest,
)
from fedp.export.lowering.table import Scope, lowers
from fedp.export.lowering.windows import Geometry, conv_geometry

_FEW = 6  # channels are too many for `narrow`


@lowers("Conv2D", takes_planes=True)
def conv2d(op: tf.Operation, inputs: Sequence[Any], scope: Scope) -> list[Image]:
    """y [n, down, across, f] of x [n, h, w, c] and filters [kh, kw, c, f]."""
    x, filters = inputs
    geometry = conv_geometry(op, x.shape, filters.shape)
    if fits_winograd(geometry, x.shape[3]):
        x = planes_of(x, winograd.STEPS, scope)
        return [winograd.convolve(x, filters, geometry, scope)]
    steps = wanted_steps(op)
    scope.memo["steps", op.inputs[0].ref(), geometry] = steps
    scope.memo["steps", op.inputs[1].ref(), geometry] = steps
    if _is_narrow(x, geometry):
        x = nhwc(x, scope)
        return [simplest(narrow.convolve(x, filters, geometry, steps, scope), scope)]
    x = planes_of(x, stride_of(geometry, steps), scope)
    return [simplest(patches.convolve(x, filters, geometry, steps, scope), scope)]


@lowers("Conv2DBackpropFilter", takes_planes=True)
def conv2d_backprop_filter(
    op: tf.Operation, inputs: Sequence[Any], scope: Scope
) -> list[tf.Tensor]:
    """The gradient by the filters."""
    x, _, dy = inputs
    geometry = conv_geometry(op, x.shape, op.outputs[0].shape)
    if fits_winograd(geometry, x.shape[3]):
        x, dy = (planes_of(image, winograd.STEPS, scope) for image in (x, dy))
        return [winograd.filter_gradient(x, dy, geometry, scope)]
    steps = scope.memo.get(("steps", op.inputs[0].ref(), geometry), NHWC)
    dy = planes_of(dy, steps, scope)
    if _is_narrow(x, geometry):
        return [narrow.filter_gradient(nhwc(x, scope), dy, geometry, scope)]
    x = planes_of(x, stride_of(geometry, steps), scope)
    return [patches.filter_gradient(x, dy, geometry, scope)]


@lowers("Conv2DBackpropInput", takes_planes=True)
def conv2d_backprop_input(
    op: tf.Operation, inputs: Sequence[Any], scope: Scope
) -> list[Image]:
    """The gradient by the image."""
    _, filters, dy = inputs
    geometry = conv_geometry(op, op.outputs[0].shape, filters.shape)
    if fits_winograd(geometry, filters.shape[2]):
        dy = planes_of(dy, winograd.STEPS, scope)
        return [winograd.input_gradient(dy, filters, geometry, scope)]
    steps = scope.memo.get(("steps", op.inputs[1].ref(), geometry), NHWC)
    dy = planes_of(dy, steps, scope)
    return [simplest(scatter.input_gradient(dy, filters, geometry), scope)]


def _is_narrow(x: Image, geometry: Geometry) -> bool:
    return not isinstance(x, Planes) and x.shape[3] < _FEW and geometry.window != (1, 1)
