"""Convolution of few channels: patches made as columns, one row a tap.

With one channel, patches as rows would be put together number by number. Here a row
holds what one tap sees of every window, in runs as long as the image is wide, and one
transpose makes patches of it. All planes of the output share the patches: a window of
plane (r, s) lies at (r, s) in a patch that is larger by a step less one.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lines import concat, reshaped, shifted, total
from fedp.export.lowering.matmul import product, transposed
from fedp.export.lowering.planes import Planes, Steps, build, resized
from fedp.export.lowering.table import Scope
from fedp.export.lowering.windows import Geometry


def convolve(
    x: tf.Tensor, filters: tf.Tensor, geometry: Geometry, steps: Steps, scope: Scope
) -> Planes:
    """y in planes of `steps`; x [n, h, w, c]."""
    count = filters.shape[3]
    shape = Planes((), steps, geometry.output, count)

    def rows() -> tf.Tensor:
        return transposed(_columns(x, geometry, steps, scope))

    patches = scope.once(("rows", x.ref(), geometry, steps), rows)
    matrix = reshaped(filters, [-1, x.shape[3] * count])

    def plane(r: int, s: int) -> tf.Tensor:
        placed = product(tf.constant(_placement(geometry, steps, (r, s))), matrix)
        placed = reshaped(placed, [patches.shape[1], count])
        y = product(patches, placed)
        return resized(y, shape.plane_size(0, 0), shape.plane_size(r, s))

    return build(steps, geometry.output, count, plane)


def filter_gradient(
    x: tf.Tensor, dy: Planes, geometry: Geometry, scope: Scope
) -> tf.Tensor:
    """dw: each plane's share, at the plane's place in the patch."""
    columns = _columns(x, geometry, dy.steps, scope)
    shares = []
    for r, s, rows in dy:
        rows = resized(rows, dy.plane_size(r, s), dy.plane_size(0, 0))
        share = reshaped(product(columns, rows), [-1, x.shape[3] * dy.channels])
        place = _placement(geometry, dy.steps, (r, s))
        shares.append(product(tf.constant(place.T), share))
    shape = [*geometry.window, x.shape[3], dy.channels]
    return reshaped(total(shares), shape)


def _columns(x: tf.Tensor, geometry: Geometry, steps: Steps, scope: Scope) -> tf.Tensor:
    """[taps of a patch * c, n * windows of plane (0, 0)]."""
    windows = Planes((), steps, geometry.output, 1).plane_size(0, 0)
    channels = x.shape[3]

    def make() -> tf.Tensor:
        stride = [a * b for a, b in zip(geometry.strides, steps, strict=True)]
        offsets = [_offsets(geometry, steps, axis) for axis in (0, 1)]
        cells, first = [], []
        for axis in (0, 1):
            first.append(min(offsets[axis]) // stride[axis])
            last = max(offsets[axis]) // stride[axis] + windows[axis]
            cells.append(last - first[axis])
        grid = _grid(x, stride, first, cells)
        taps = []
        for down in offsets[0]:
            for across in offsets[1]:
                (i, q), (j, p) = divmod(down, stride[0]), divmod(across, stride[1])
                start = (q * stride[1] + p) * channels
                i, j = i - first[0], j - first[1]
                tap = grid[
                    start : start + channels,
                    :,
                    i : i + windows[0],
                    j : j + windows[1],
                ]
                taps.append(reshaped(tap, [channels, -1]))
        return concat(taps, axis=0)

    return scope.once(("columns", x.ref(), geometry, steps), make)


def _grid(
    x: tf.Tensor, stride: list[int], first: list[int], cells: list[int]
) -> tf.Tensor:
    """x cut in cells of one stride: [stride down * across * c, n, cells...]."""
    _, height, width, channels = x.shape
    (down, across), line = stride, width * channels
    rows = reshaped(x, [-1, height * line])
    rows = shifted(rows, first[0] * down, cells[0] * down, line)
    rows = shifted(
        reshaped(rows, [-1, line]), first[1] * across, cells[1] * across, channels
    )
    parts = reshaped(rows, [-1, cells[0], down, cells[1], across * channels])
    turned = tf.transpose(parts, [2, 4, 0, 1, 3])
    return reshaped(turned, [down * across * channels, -1, *cells])


def _offsets(geometry: Geometry, steps: Steps, axis: int) -> list[int]:
    """Pixels along an axis that the first window of any plane sees, in order."""
    return sorted(
        {
            geometry.strides[axis] * start
            + number * geometry.dilations[axis]
            - geometry.padding[axis][0]
            for start in range(steps[axis])
            for number in range(geometry.window[axis])
        }
    )


def _placement(geometry: Geometry, steps: Steps, plane: tuple[int, int]) -> np.ndarray:
    """1 where a tap of the patch [rows] is a tap of the plane's window [columns]."""
    axes = []
    for axis in (0, 1):
        offsets = _offsets(geometry, steps, axis)
        place = np.zeros((len(offsets), geometry.window[axis]), np.float32)
        for number in range(geometry.window[axis]):
            pixel = geometry.strides[axis] * plane[axis]
            pixel += number * geometry.dilations[axis] - geometry.padding[axis][0]
            place[offsets.index(pixel), number] = 1
        axes.append(place)
    return np.kron(*axes)
