"""In which planes an image is wanted by what comes after it."""

from __future__ import annotations

import tensorflow as tf

from fedp.export.lowering.elementwise import ELEMENTWISE
from fedp.export.lowering.planes import NHWC, Steps
from fedp.export.lowering.windows import Geometry, conv_geometry

_WINDOWED = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool")


def fits_winograd(geometry: Geometry, channels: int) -> bool:
    """Whether a convolution is done by `winograd`."""
    return (
        geometry.window == (3, 3)
        and geometry.strides == (1, 1)
        and geometry.dilations == (1, 1)
        and min(*geometry.size, *geometry.output) >= 2
        and channels >= 4
    )


def wanted_steps(op: tf.Operation) -> Steps:
    """The planes that the first op after `op` and elementwise ones would cut."""
    stack = [op]
    while stack:
        for consumer in stack.pop(0).outputs[0].consumers():
            if consumer.type in _WINDOWED:
                if _is_winograd(consumer):
                    return (2, 2)
                _, down, across, _ = consumer.get_attr("strides")
                return down, across
            if consumer.type in ELEMENTWISE and "Grad" not in consumer.type:
                stack.append(consumer)
    return NHWC


def stride_of(geometry: Geometry, steps: Steps) -> Steps:
    """The planes of x that serve planes `steps` of y."""
    return geometry.strides[0] * steps[0], geometry.strides[1] * steps[1]


def _is_winograd(op: tf.Operation) -> bool:
    if op.type != "Conv2D":
        return False
    x, filters = (tensor.shape for tensor in op.inputs)
    return fits_winograd(conv_geometry(op, x, filters), x[3])
