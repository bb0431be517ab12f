"""What is known of integer tensors while tracing, with a batch that is not known.

A shape computation is followed back to the shapes it starts from and done twice, for
two batches: what agrees does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_BATCHES = (10_007, 20_011)
_DEPTH = 40  # longest chain of ops that is followed


class _UnknownError(Exception):
    """The tensor depends on more than shapes."""


def known_dimensions(shape: tf.Tensor) -> list[int | None] | None:
    """Entries of a shape tensor, None for those that depend on the batch.

    None where nothing is known, not even how many there are.
    """
    try:
        one, two = (_value(shape, batch, _DEPTH) for batch in _BATCHES)
    except _UnknownError:
        return None
    pairs = zip(one.ravel().tolist(), two.ravel().tolist(), strict=True)
    return [int(a) if a == b else None for a, b in pairs]


def folded(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The tensors, as constants where they are integers and known."""
    return [_folded(tensor) for tensor in tensors]


def _folded(tensor: tf.Tensor) -> tf.Tensor:
    if not tensor.dtype.is_integer or tensor.op.type == "Const":
        return tensor
    known = known_dimensions(tensor)
    if known is None or None in known or tensor.shape.rank is None:
        return tensor
    value = np.array(known).reshape(_value(tensor, _BATCHES[0], _DEPTH).shape)
    return tf.constant(value, tensor.dtype)


def _value(tensor: tf.Tensor, batch: int, depth: int) -> np.ndarray:
    op = tensor.op
    if op.type == "Const":
        value = tf.get_static_value(tensor)
        if value.size > 64:
            raise _UnknownError
        return np.asarray(value)
    if op.type in ("Shape", "ShapeN"):
        return _dimensions(op.inputs[tensor.value_index].shape, batch)
    if op.type not in _NUMPY or not depth:
        raise _UnknownError
    inputs = [_value(t, batch, depth - 1) for t in op.inputs]
    return np.asarray(_NUMPY[op.type](op, *inputs))


def _dimensions(shape: tf.TensorShape, batch: int) -> np.ndarray:
    if shape.rank is None or shape.as_list().count(None) > 1:
        raise _UnknownError
    return np.array([batch if d is None else d for d in shape], np.int64)


def _strided_slice(
    op: tf.Operation, x: np.ndarray, begin: Any, end: Any, strides: Any
) -> np.ndarray:
    masks = ("ellipsis_mask", "new_axis_mask")
    if any(op.get_attr(mask) for mask in masks):
        raise _UnknownError
    index: list[Any] = []
    for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if op.get_attr("shrink_axis_mask") >> axis & 1:
            index.append(int(first))
            continue
        start = None if op.get_attr("begin_mask") >> axis & 1 else int(first)
        stop = None if op.get_attr("end_mask") >> axis & 1 else int(last)
        index.append(slice(start, stop, int(step)))
    return np.asarray(x[tuple(index)])


def _dynamic_stitch(op: tf.Operation, *inputs: np.ndarray) -> np.ndarray:
    half = len(inputs) // 2
    places = np.concatenate([np.ravel(i) for i in inputs[:half]])
    result = np.zeros(int(places.max()) + 1 if places.size else 0, np.int64)
    result[places] = np.concatenate([np.ravel(v) for v in inputs[half:]])
    return result


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(op: tf.Operation, x: np.ndarray, axes: np.ndarray) -> Any:
        keep = bool(op.get_attr("keep_dims"))
        return function(x, axis=tuple(np.ravel(axes)), keepdims=keep)

    return call


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda op, a, b: function(a, b)


_NUMPY: dict[str, Callable[..., Any]] = {
    "Identity": lambda op, x: x,
    "Cast": lambda op, x: x.astype(op.outputs[0].dtype.as_numpy_dtype),
    "Pack": lambda op, *xs: np.stack(xs, op.get_attr("axis")),
    "ConcatV2": lambda op, *xs: np.concatenate(xs[:-1], int(xs[-1])),
    "GatherV2": lambda op, x, i, axis: np.take(x, i, int(axis)),
    "StridedSlice": _strided_slice,
    "DynamicStitch": _dynamic_stitch,
    "Reshape": lambda op, x, shape: np.reshape(x, shape),
    "ExpandDims": lambda op, x, axis: np.expand_dims(x, int(axis)),
    "Fill": lambda op, shape, value: np.full(shape, value),
    "Range": lambda op, first, end, step: np.arange(first, end, step),
    "Size": lambda op, x: np.size(x),
    "Rank": lambda op, x: np.ndim(x),
    "Prod": _reduced(np.prod),
    "Sum": _reduced(np.sum),
    "Max": _reduced(np.max),
    "Neg": lambda op, x: -x,
    "Mul": _binary(np.multiply),
    "Add": _binary(np.add),
    "AddV2": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Maximum": _binary(np.maximum),
    "Minimum": _binary(np.minimum),
    "FloorMod": _binary(np.mod),
    "FloorDiv": _binary(np.floor_divide),
    "InvertPermutation": lambda op, x: np.argsort(x),
}
