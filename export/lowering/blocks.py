"""Space to batch and back, which Keras puts around a dilated convolution.

Every d-th pixel makes an image of its own, so the convolution between is an ordinary
one on small images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lines import reshaped
from fedp.export.lowering.padding import cropped, padded
from fedp.export.lowering.table import Scope, lowers


@lowers("SpaceToBatchND")
def space_to_batch(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """[n, h d, ...] to [d n, h, ...], one axis at a time, the last first."""
    blocks, pads = (tf.get_static_value(t) for t in op.inputs[1:])
    x = padded(inputs[0], _on_space(pads, inputs[0].shape.rank))
    for axis, block in reversed(list(enumerate(blocks, 1))):
        shape = x.shape.as_list()
        outer, inner = int(np.prod(shape[1:axis])), int(np.prod(shape[axis + 1 :]))
        cells = shape[axis] // block
        cut = reshaped(x, [-1, outer * cells, block, inner])
        x = reshaped(
            tf.transpose(cut, [2, 0, 1, 3]),
            [-1, *shape[1:axis], cells, *shape[axis + 1 :]],
        )
    return [x]


@lowers("BatchToSpaceND")
def batch_to_space(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The inverse, the first axis first."""
    x = inputs[0]
    blocks, crops = (tf.get_static_value(t) for t in op.inputs[1:])
    for axis, block in enumerate(blocks, 1):
        shape = x.shape.as_list()
        outer, inner = int(np.prod(shape[1:axis])), int(np.prod(shape[axis + 1 :]))
        cells = shape[axis]
        stacked = reshaped(x, [block, -1, outer * cells, inner])
        x = reshaped(
            tf.transpose(stacked, [1, 2, 0, 3]),
            [-1, *shape[1:axis], cells * block, *shape[axis + 1 :]],
        )
    return [cropped(x, _on_space(crops, x.shape.rank))]


def _on_space(pads: np.ndarray, rank: int) -> list[tuple[int, int]]:
    """Pads of the axes after the batch, for all axes."""
    given = [(int(before), int(after)) for before, after in pads]
    return [(0, 0), *given, *[(0, 0)] * (rank - 1 - len(given))]
