"""Convolution as patches times a matrix (im2col), one line of the window at a time.

A line's taps lie side by side in one concatenation, which serves every line of the
window: the next line sees the same rows of it further down. So k x k taps cost one
concatenation of k parts and k slices, and a whole patch never exists.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lattice import locate
from fedp.export.lowering.lines import concat, reshaped, shifted, total
from fedp.export.lowering.matmul import gram, product
from fedp.export.lowering.planes import Planes, Steps, build
from fedp.export.lowering.table import Scope
from fedp.export.lowering.windows import Geometry


def convolve(
    x: Planes, filters: tf.Tensor, geometry: Geometry, steps: Steps, scope: Scope
) -> Planes:
    """y in planes of `steps`; x in planes of stride * steps."""
    shape = Planes((), steps, geometry.output, filters.shape[3])
    matrices = filter_lines(filters)

    def plane(r: int, s: int) -> tf.Tensor:
        lines = [
            product(_line(x, geometry, shape, (r, s), a, scope), matrix)
            for a, matrix in enumerate(matrices)
        ]
        return total(lines)

    return build(steps, geometry.output, filters.shape[3], plane)


def filter_gradient(
    x: Planes, dy: Planes, geometry: Geometry, scope: Scope
) -> tf.Tensor:
    """dw = patches(x)^T dy, [kh, kw, c, f]."""
    lines = [
        total(
            [gram(_line(x, geometry, dy, (r, s), a, scope), rows) for r, s, rows in dy]
        )
        for a in range(geometry.window[0])
    ]
    shape = [*geometry.window, x.channels, dy.channels]
    return reshaped(concat(lines, axis=0), shape)


def input_gradient(
    dy: Planes, filters: tf.Tensor, geometry: Geometry, scope: Scope
) -> Planes:
    """dx at stride 1: dy convolved with the filters turned around."""
    turned = dataclasses.replace(
        geometry,
        size=geometry.output,
        padding=tuple(
            ((window - 1) * dilation - before, (window - 1) * dilation - after)
            for window, dilation, (before, after) in zip(
                geometry.window, geometry.dilations, geometry.padding, strict=True
            )
        ),
    )
    return convolve(dy, _turned(filters), turned, dy.steps, scope)


def _turned(filters: tf.Tensor) -> tf.Tensor:
    """Filters [kh, kw, c, f] as [kh, kw, f, c], the last tap first.

    By a permutation matrix: REVERSE_V2 over two axes reverses one on TFLite 2.14.
    """
    height, width, channels, count = filters.shape
    taps = reshaped(filters, [height * width, channels, count])
    rows = reshaped(tf.transpose(taps, [0, 2, 1]), [height * width, count * channels])
    backwards = tf.constant(np.eye(height * width, dtype=np.float32)[::-1])
    return reshaped(product(backwards, rows), [height, width, count, channels])


def _line(
    x: Planes,
    geometry: Geometry,
    y: Planes,
    place: tuple[int, int],
    a: int,
    scope: Scope,
) -> tf.Tensor:
    """What line `a` of the windows of plane `place` sees: [n * its size, kw * c]."""
    down, across = y.plane_size(*place)
    (q, row), _ = locate(first_pixel(geometry, place, (a, 0)), x.steps, x.size)
    wide = geometry.window[1] * x.channels

    def side_by_side() -> tuple[int, tf.Tensor]:
        low, high = _reach(geometry, y, 0, q, x)
        taps = []
        for b in range(geometry.window[1]):
            first = first_pixel(geometry, place, (0, b))
            _, (p, column) = locate(first, x.steps, x.size)
            left, framed = _framed(x, geometry, y, (q, p), scope)
            tap = shifted(framed, column - left, across, x.channels)
            taps.append(reshaped(tap, [-1, x.channels]))
        return low, reshaped(concat(taps), [-1, (high - low) * across * wide])

    def line() -> tf.Tensor:
        key = ("side by side", x, geometry, y.steps, q, place[1])
        low, lines = scope.once(key, side_by_side)
        return reshaped(shifted(lines, row - low, down, across * wide), [-1, wide])

    key = ("line", x, geometry, y.steps, q, row, down, place[1])
    return scope.once(key, line)


def _framed(
    x: Planes, geometry: Geometry, y: Planes, plane: tuple[int, int], scope: Scope
) -> tuple[int, tf.Tensor]:
    """A plane with the padding that windows of y see, line by line.

    Padded once, so that each tap is a slice alone. With its first column's number.
    """
    (q, p), (height, width) = plane, x.plane_size(*plane)
    top, bottom = _reach(geometry, y, 0, q, x)
    left, right = _reach(geometry, y, 1, p, x)

    def make() -> tf.Tensor:
        inner = width * x.channels
        lines = reshaped(x.rows[q][p], [-1, height * inner])
        lines = reshaped(shifted(lines, top, bottom - top, inner), [-1, inner])
        return shifted(lines, left, right - left, x.channels)

    return left, scope.once(("framed", x, geometry, y.steps, plane), make)


def _reach(
    geometry: Geometry, y: Planes, axis: int, plane: int, x: Planes
) -> tuple[int, int]:
    """First and last but one line (axis 0) or column of a plane that y's windows see."""
    low, high = [], []
    for start in range(y.steps[axis]):
        count = y.plane_size(start, start)[axis]
        for number in range(geometry.window[axis]):
            first = first_pixel(geometry, (start, start), (number, number))
            found, at = locate(first, x.steps, x.size)[axis]
            if found == plane and count:
                low.append(at)
                high.append(at + count)
    return min(low), max(high)


def first_pixel(
    geometry: Geometry, place: tuple[int, int], tap: tuple[int, int]
) -> tuple[int, int]:
    """The pixel that a tap of a plane's first window sees."""
    down, across = (
        stride * start + number * dilation - pads[0]
        for stride, start, number, dilation, pads in zip(
            geometry.strides,
            place,
            tap,
            geometry.dilations,
            geometry.padding,
            strict=True,
        )
    )
    return down, across


def filter_lines(filters: tf.Tensor) -> list[tf.Tensor]:
    """The filters line by line, each [kw * c, f]."""
    height, width, channels, count = filters.shape
    lines = reshaped(filters, [height, width * channels * count])
    return [
        reshaped(lines[a : a + 1, :], [width * channels, count]) for a in range(height)
    ]
