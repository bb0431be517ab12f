"""Convolution as patches times a matrix (im2col), one line of the window at a time.

A line's taps lie side by side in one concatenation, which serves every line of the
window: the next line sees the same rows of it further down. So k x k taps cost one
concatenation of k parts and k slices, and a whole patch never exists.
"""

from __future__ import annotations

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


def _line(
    x: Planes,
    geometry: Geometry,
    y: Planes,
    place: tuple[int, int],
    a: int,
    scope: Scope,
) -> tf.Tensor:
    """What line `a` of the windows of plane `place` sees: [n * its size, kw * c]."""
    (r, s), channels = place, x.channels
    down, across = y.plane_size(r, s)
    (q, row), _ = locate(first_pixel(geometry, place, (a, 0)), x.steps, x.size)
    height = x.plane_size(q, 0)[0]
    inner = across * geometry.window[1] * channels

    def side_by_side() -> tf.Tensor:
        taps = []
        for b in range(geometry.window[1]):
            first = first_pixel(geometry, place, (0, b))
            _, (p, column) = locate(first, x.steps, x.size)
            width = x.plane_size(0, p)[1]
            lines = reshaped(x.rows[q][p], [-1, width * channels])
            taps.append(
                reshaped(shifted(lines, column, across, channels), [-1, channels])
            )
        return reshaped(concat(taps), [-1, height * inner])

    def line() -> tf.Tensor:
        key = ("side by side", x, geometry, y.steps, q, s)
        taken = shifted(scope.once(key, side_by_side), row, down, inner)
        return reshaped(taken, [-1, geometry.window[1] * channels])

    return scope.once(("line", x, geometry, y.steps, q, row, down, s), line)


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
