"""In which planes an image is wanted by what comes after it."""

from __future__ import annotations

import tensorflow as tf

from fedp.export.lowering.elementwise import ELEMENTWISE
from fedp.export.lowering.planes import NHWC, Steps
from fedp.export.lowering.windows import Geometry, conv_geometry

_WINDOWED = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool")


def fits_winograd(geometry: Geometry, channels: int) -> bool:
    """Whether a convolution is done by `winograd`.

    Milliseconds a training step, batch 20, Winograd against patches (against `narrow`
    below 4 channels), on LiteRT 2.3 and TFLite 2.14:

        image   channels      LiteRT 2.3     TFLite 2.14
        28x28   1 to 32       2.1    1.2     3.0    1.5
        28x28   3 to 32       2.2    1.6     8.6    2.8
        28x28   4 to 16       1.57   1.63    2.28   2.24
        28x28   8 to 16       2.0    2.6     3.5    8.0
        28x28   16 to 32      3.8    5.3     6.8   13.9
        14x14   32 to 64      2.0    3.2     7.0    8.9
        8x8     64 to 64      1.2    1.8     1.7    3.1
        4x4     64 to 64      0.32   0.42    0.44   0.57
        2x2     64 to 64      0.15   0.13    0.27   0.17
    """
    return (
        geometry.window == (3, 3)
        and geometry.strides == (1, 1)
        and geometry.dilations == (1, 1)
        and min(*geometry.size, *geometry.output) >= 3
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
