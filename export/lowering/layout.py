"""In which planes an image is wanted by what comes after it."""

from __future__ import annotations

import tensorflow as tf

from fedp.export.lowering.elementwise import ELEMENTWISE
from fedp.export.lowering.planes import NHWC, Steps
from fedp.export.lowering.windows import Geometry

_POOLS = ("MaxPool", "AvgPool")


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
            if consumer.type == "Conv2D":
                x, filters = (tensor.shape for tensor in consumer.inputs)
                geometry = Geometry.of_op(consumer, x[1:3], filters[:2])
                if fits_winograd(geometry, x[3]):
                    return (2, 2)
                return geometry.strides
            if consumer.type in _POOLS:
                _, down, across, _ = consumer.get_attr("strides")
                return down, across
            if consumer.type in ELEMENTWISE and "Grad" not in consumer.type:
                stack.append(consumer)
    return NHWC
