"""Sliding windows over images by slices and pads of unit stride alone.

Strided slices run outside the delegate (1.4 ms each on LiteRT), so a stride is a
reshape into blocks of which the first element is kept.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How windows lie on an image.

    Attributes:
        size: height and width of the input, without padding.
        window: height and width of a window.
        strides: step between windows, down and across.
        dilations: distance between a window's taps.
        padding: ((top, bottom), (left, right)), in pixels.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        window: tuple[int, int],
        strides: tuple[int, int],
        dilations: tuple[int, int],
        padding: str,
    ) -> Geometry:
        """Resolves TensorFlow's "SAME" and "VALID"."""
        pads = []
        for n, k, s, d in zip(size, window, strides, dilations, strict=True):
            reach = (k - 1) * d + 1
            missing = max((-(-n // s) - 1) * s + reach - n, 0)
            pads.append((missing // 2, missing - missing // 2))
        if padding == "VALID":
            pads = [(0, 0), (0, 0)]
        return cls(size, window, strides, dilations, (pads[0], pads[1]))

    @property
    def output(self) -> tuple[int, int]:
        """Number of windows, down and across."""
        down, across = (
            (n + sum(p) - (k - 1) * d - 1) // s + 1
            for n, p, k, s, d in zip(
                self.size,
                self.padding,
                self.window,
                self.strides,
                self.dilations,
                strict=False,
            )
        )
        return down, across

    @property
    def taps(self) -> list[tuple[int, int]]:
        """Position of each tap in the padded image, row by row."""
        return [
            (i * self.dilations[0], j * self.dilations[1])
            for i in range(self.window[0])
            for j in range(self.window[1])
        ]


def pad(x: tf.Tensor, geometry: Geometry, value: float = 0.0) -> tf.Tensor:
    """x [n, h, w, c] with the geometry's padding."""
    if geometry.padding == ((0, 0), (0, 0)):
        return x
    pads = [(0, 0), *geometry.padding, (0, 0)]
    return tf.pad(x, pads, constant_values=value) if value else tf.pad(x, pads)


def crop(x: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """The adjoint of `pad`."""
    if geometry.padding == ((0, 0), (0, 0)):
        return x
    top, left = geometry.padding[0][0], geometry.padding[1][0]
    height, width = geometry.size
    return x[:, top : top + height, left : left + width, :]


def take(padded: tf.Tensor, tap: tuple[int, int], geometry: Geometry) -> tf.Tensor:
    """What one tap of every window sees: [n, h, w, c] -> [n, down, across, c]."""
    for axis in (0, 1):
        padded = _take_axis(
            padded, axis + 1, tap[axis], geometry.strides[axis], geometry.output[axis]
        )
    return padded


def put(values: tf.Tensor, tap: tuple[int, int], geometry: Geometry) -> tf.Tensor:
    """The adjoint of `take`: [n, down, across, c] -> [n, h, w, c], zeros elsewhere."""
    for axis in (0, 1):
        full = geometry.size[axis] + sum(geometry.padding[axis])
        values = _put_axis(values, axis + 1, tap[axis], geometry.strides[axis], full)
    return values


def _take_axis(x: tf.Tensor, axis: int, first: int, stride: int, n: int) -> tf.Tensor:
    shape = _dimensions(x)
    full = shape[axis]
    span = min(n * stride, full - first)
    if (first, span) != (0, full):
        begin = [slice(None)] * axis + [slice(first, first + span)]
        x = x[tuple(begin)]
    if stride == 1:
        return x
    if span < n * stride:
        x = tf.pad(x, _on_axis(axis, len(shape), (0, n * stride - span)))
    inner = 1
    for d in shape[axis + 1 :]:
        inner *= d
    blocks = tf.reshape(x, [-1, stride * inner])[:, :inner]
    return tf.reshape(blocks, [*shape[:axis], n, *shape[axis + 1 :]])


def _put_axis(x: tf.Tensor, axis: int, first: int, stride: int, full: int) -> tf.Tensor:
    shape = _dimensions(x)
    n = shape[axis]
    if stride > 1:
        inner = 1
        for d in shape[axis + 1 :]:
            inner *= d
        spread = tf.pad(tf.reshape(x, [-1, inner]), [(0, 0), (0, (stride - 1) * inner)])
        x = tf.reshape(spread, [*shape[:axis], n * stride, *shape[axis + 1 :]])
    after = full - first - n * stride
    if after < 0:
        x = x[tuple([slice(None)] * axis + [slice(0, full - first)])]
        after = 0
    if (first, after) == (0, 0):
        return x
    return tf.pad(x, _on_axis(axis, len(shape), (first, after)))


def _on_axis(axis: int, rank: int, pads: tuple[int, int]) -> list[tuple[int, int]]:
    return [pads if a == axis else (0, 0) for a in range(rank)]


def _dimensions(x: tf.Tensor) -> list[int]:
    """The shape with -1 for the batch."""
    return [-1 if d is None else d for d in x.shape.as_list()]
