"""Pads and the slices that undo them, on merged dimensions and of known size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lines import reshaped, shifted
from fedp.export.lowering.table import Scope, lowers

Pads = Sequence[tuple[int, int]]


def padded(x: tf.Tensor, pads: Pads) -> tf.Tensor:
    """x [n, ...] with zeros around, none along the batch."""
    for axis, (before, after) in list(enumerate(pads))[1:]:
        x = _moved(x, axis, -before, x.shape[axis] + before + after)
    return x


def cropped(x: tf.Tensor, pads: Pads) -> tf.Tensor:
    """The inverse of `padded`."""
    return padded(x, [(-before, -after) for before, after in pads])


@lowers("Pad")
def pad(op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope) -> list[tf.Tensor]:
    """PAD on merged dimensions is 5 times faster than on four."""
    pads = tf.get_static_value(op.inputs[1])
    if pads is None or pads[0].any() or _unknown(inputs[0]) != [0]:
        return [tf.pad(*inputs)]
    return [padded(inputs[0], [(int(a), int(b)) for a, b in pads])]


def cut(x: tf.Tensor, begin: Sequence[int], size: Sequence[int]) -> tf.Tensor:
    """A slice within each example, its first axis whole; all other axes are known."""
    for axis in range(1, x.shape.rank):
        x = _moved(x, axis, begin[axis], size[axis])
    return x


def _moved(x: tf.Tensor, axis: int, first: int, count: int) -> tf.Tensor:
    """Elements first to first + count - 1 of an axis, zeros where there are none."""
    shape = x.shape.as_list()
    if (first, count) == (0, shape[axis]):
        return x
    inner = int(np.prod(shape[axis + 1 :]))
    lines = shifted(reshaped(x, [-1, shape[axis] * inner]), first, count, inner)
    return reshaped(lines, [-1, *shape[1:axis], count, *shape[axis + 1 :]])


def _unknown(x: tf.Tensor) -> list[int]:
    """Axes of unknown length."""
    return [axis for axis, d in enumerate(x.shape) if d is None]
