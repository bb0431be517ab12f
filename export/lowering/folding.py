"""Values of shape arithmetic that are known while tracing, though the batch is not.

TensorFlow's gradients of reductions compute shapes at run time, by ops that TFLite
lacks or that would end a delegate's partition.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from fedp.export.lowering.shapes import known_axes, known_dimensions

_TAKE_MINUS_ONE = ("Reshape", "BroadcastTo")


def folded(op: tf.Operation) -> np.ndarray | None:
    """The value of an op's one output, with -1 for the batch where that will do."""
    if op.type == "Prod":
        counted = _count(op.outputs[0])
        return np.array(counted[0], np.int32) if counted and counted[1] == 0 else None
    if op.type == "FloorDiv":
        return _ratio(*op.inputs)
    if op.type == "DynamicStitch":
        known = known_dimensions(op.outputs[0])
        users = {user.type for user in op.outputs[0].consumers()}
        if known and known.count(None) <= 1 and users <= set(_TAKE_MINUS_ONE):
            return np.array([-1 if d is None else d for d in known], np.int32)
    return None


def _ratio(a: tf.Tensor, b: tf.Tensor) -> np.ndarray | None:
    """Of two counts of elements; the batch cancels."""
    if b.op.type == "Maximum":
        b = b.op.inputs[0]
    counts = _count(a), _count(b)
    if counts[0] is None or counts[1] is None or counts[0][1] != counts[1][1]:
        return None
    return np.array(counts[0][0] // max(counts[1][0], 1), np.int32)


def _count(tensor: tf.Tensor) -> tuple[int, int] | None:
    """(product of the known dimensions, how many are unknown) of Prod(a shape)."""
    if tensor.op.type != "Prod":
        return None
    shape = tensor.op.inputs[0]
    if shape.op.type == "GatherV2":
        whole, axes, _ = shape.op.inputs
        known, taken = known_dimensions(whole), known_axes(axes)
        if known is None or taken is None:
            return None
        known = [known[axis] for axis in taken]
    else:
        known = known_dimensions(shape)
    if known is None:
        return None
    return int(np.prod([d for d in known if d is not None])), known.count(None)
