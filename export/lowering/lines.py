"""Slices, shifts and strides along one axis, on merged dimensions.

Every tensor here is [m, n * inner]: m lines of n elements, an element being `inner`
neighbouring numbers. On two dimensions PAD is 5 times faster than on four, and a slice
from the first line to the last never needs the unknown m.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_FAN_IN = 4  # XNNPACK takes a concatenation of at most 4 or 5 tensors


def reshaped(x: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Reshape, from where a chain of them began; nothing at all if that has the shape.

    A reshape that changes nothing is more than a waste: around a product, TensorFlow
    2.14's converter drops it together with the one after the product, wrongly.
    """
    target = [None if d == -1 else d for d in shape]
    while True:
        if x.shape.as_list() == target:
            return x
        if x.op.type != "Reshape":
            return tf.reshape(x, shape)
        x = x.op.inputs[0]


def shifted(
    x: tf.Tensor, first: int, count: int, inner: int, fill: float = 0.0
) -> tf.Tensor:
    """Elements first to first + count - 1, `fill` where x has none: [m, count inner].

    With `first` and the lengths exchanged for -first it is its own adjoint.
    """
    size = x.shape[1] // inner
    low, high = max(first, 0), min(first + count, size)
    if low >= high:
        nothing = x[:, :inner] * 0.0
        blank = tf.pad(nothing, [(0, 0), (0, (count - 1) * inner)])
        return blank + fill if fill else blank
    if (low, high) != (0, size):
        x = x[:, low * inner : high * inner]
    pads = [(0, 0), ((low - first) * inner, (first + count - high) * inner)]
    if not any(pads[1]):
        return x
    return tf.pad(x, pads, constant_values=fill) if fill else tf.pad(x, pads)


def split(x: tf.Tensor, step: int, inner: int) -> list[tf.Tensor | None]:
    """Elements r, r + step, r + 2 step... for each r < step; None if there are none."""
    if step == 1:
        return [x]
    size = x.shape[1] // inner
    blocks = -(-size // step)
    whole = reshaped(shifted(x, 0, blocks * step, inner), [-1, step * inner])
    parts: list[tf.Tensor | None] = []
    for r in range(step):
        count = -(-(size - r) // step)
        if count <= 0:
            parts.append(None)
            continue
        part = reshaped(whole[:, r * inner : (r + 1) * inner], [-1, blocks * inner])
        parts.append(shifted(part, 0, count, inner))
    return parts


def join(parts: Sequence[tf.Tensor], size: int, step: int, inner: int) -> tf.Tensor:
    """The inverse of `split`, for `size` elements; `parts` without the empty ones."""
    if step == 1:
        return parts[0]
    blocks = -(-size // step)
    full = [reshaped(shifted(p, 0, blocks, inner), [-1, inner]) for p in parts]
    missing = step - len(full)
    side = concat(full)
    if missing:
        side = tf.pad(side, [(0, 0), (0, missing * inner)])
    return shifted(reshaped(side, [-1, blocks * step * inner]), 0, size, inner)


def concat(parts: Sequence[tf.Tensor], axis: int = 1) -> tf.Tensor:
    """Concatenation, a few at a time."""
    parts = list(parts)
    while len(parts) > 1:
        groups = [parts[i : i + _FAN_IN] for i in range(0, len(parts), _FAN_IN)]
        parts = [tf.concat(g, axis) if len(g) > 1 else g[0] for g in groups]
    return parts[0]


def total(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of tensors of one shape, pair by pair."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result
