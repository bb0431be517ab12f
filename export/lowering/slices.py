"""Slices and their gradients: strided slices with masks, and pads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.shapes import dimensions, known_dimensions
from fedp.export.lowering.table import Scope, lowers, place


@lowers("Slice")
def slice_(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A slice as a strided one: SLICE with the batch as size is not delegated."""
    x, begin, size = inputs
    length = known_dimensions(size)
    first = [d for d in known_dimensions(begin) or () if d is not None]
    if length is None or len(first) < len(length):
        return [tf.slice(x, begin, size)]
    ends = [
        None if n is None or n == -1 or start + n == whole else start + n
        for start, n, whole in zip(first, length, x.shape, strict=True)
    ]
    if not any(first) and ends == [None] * len(ends):
        return [x]
    parts = [slice(start or None, end) for start, end in zip(first, ends, strict=True)]
    return [x[tuple(parts)]]


@lowers("ConcatOffset")
def concat_offset(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Where each part of a concatenation begins."""
    axis = tf.get_static_value(inputs[0])
    shapes = [known_dimensions(shape) for shape in inputs[1:]]
    if axis is None or any(s is None or s[axis] is None for s in shapes):
        raise ExportError(
            f"{place(op)} joins tensors along an axis of unknown length: give the "
            "model's Input a full shape"
        )
    begins, start = [], 0
    for shape in shapes:
        assert shape is not None
        begins.append([0] * len(shape))
        begins[-1][axis] = start
        start += shape[axis] or 0
    return [tf.constant(begin, tf.int32) for begin in begins]


@lowers("StridedSliceGrad")
def strided_slice_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The gradient put back where the slice was taken from, zeros around it."""
    shape, begin, end, strides, gradient = inputs
    known = known_dimensions(shape)
    fixed = [tf.get_static_value(t) for t in (begin, end, strides)]
    if (
        known is None
        or any(t is None for t in fixed)
        or any(step < 1 for step in fixed[2])
    ):
        raise ExportError(
            f"{place(op)} slices backwards or by places that are not known: use slices "
            "of constant places"
        )
    ranges = _ranges(op, known, *(list(map(int, t)) for t in fixed))
    x = tf.reshape(gradient, [-1 if r is None else len(r) for r in ranges])
    for axis, (taken, full) in enumerate(zip(ranges, known, strict=True)):
        if taken is not None and full is not None and taken != range(full):
            x = _put(x, axis, taken, full)
    return [x]


def _ranges(
    op: tf.Operation,
    shape: Sequence[int | None],
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
) -> list[range | None]:
    """What is taken of each axis; None for all of the batch."""
    found: list[range | None] = []
    entries = _entries(op, len(begin), len(shape))
    for size, entry in zip(shape, entries, strict=True):
        if entry is None:
            part = slice(None)
        elif _has(op, "shrink_axis_mask", entry):
            part = slice(begin[entry], begin[entry] + 1 or None)
        else:
            start = None if _has(op, "begin_mask", entry) else begin[entry]
            stop = None if _has(op, "end_mask", entry) else end[entry]
            part = slice(start, stop, strides[entry])
        if size is not None:
            found.append(range(*part.indices(size)))
        elif (part.start or 0, part.stop, part.step or 1) == (0, None, 1):
            found.append(None)
        else:
            raise ExportError(
                f"{place(op)} slices the batch, which may have any length on a device"
            )
    return found


def _entries(op: tf.Operation, count: int, rank: int) -> list[int | None]:
    """Which entry of begin and end each axis has; None for all of the axis."""
    found: list[int | None] = []
    real = sum(
        not _has(op, "ellipsis_mask", i) and not _has(op, "new_axis_mask", i)
        for i in range(count)
    )
    for entry in range(count):
        if _has(op, "ellipsis_mask", entry):
            found += [None] * (rank - real)
        elif not _has(op, "new_axis_mask", entry):
            found.append(entry)
    return found + [None] * (rank - len(found))


def _has(op: tf.Operation, mask: str, entry: int) -> bool:
    return bool(op.get_attr(mask) >> entry & 1)


def _put(x: tf.Tensor, axis: int, taken: range, full: int) -> tf.Tensor:
    """Spreads an axis over the places `taken` of `full`."""
    shape = dimensions(x)
    n, step = len(taken), taken.step
    if step > 1 and n:
        inner = math.prod(shape[axis + 1 :])
        flat = tf.reshape(x, [-1, inner])
        spread = tf.pad(flat, [(0, 0), (0, (step - 1) * inner)])
        x = tf.reshape(spread, [*shape[:axis], n * step, *shape[axis + 1 :]])
        if taken.start + n * step > full:
            keep = slice(0, full - taken.start)
            x = x[(slice(None),) * axis + (keep,)]
            n, step = full - taken.start, 1
    after = full - taken.start - n * step
    pads = [(0, 0)] * len(shape)
    pads[axis] = (taken.start, after)
    return tf.pad(x, pads)
