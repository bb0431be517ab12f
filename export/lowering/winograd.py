"""3x3 convolution of stride 1 by Winograd's F(2x2, 3x3), on parity planes.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks": 16 products
in place of 36 for 2x2 outputs. Row 3 of B^T and of A^T is negated here, which spares a
negation. A tile's four outputs land in the four planes, and its 4x4 inputs come from
them by shifts alone. Each V_kl, U_kl, M_kl is its own matrix, [tiles, c], [c, f] and
[tiles, f].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fedp.export.lowering.lines import concat, reshaped, shifted, total
from fedp.export.lowering.matmul import bare_product, gram, product
from fedp.export.lowering.planes import Planes, build, resized
from fedp.export.lowering.table import Scope
from fedp.export.lowering.windows import Geometry

Four = list[tf.Tensor]

STEPS = (2, 2)
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
_GG = np.kron(_G, _G)  # [16, 9]


def convolve(x: Planes, filters: tf.Tensor, geometry: Geometry, scope: Scope) -> Planes:
    """y = A^T [(G w G^T) * (B^T x B)] A, in planes."""
    v = _tiles(x, geometry, scope)
    u = _filters(filters, scope)
    halves = [_at([bare_product(v[k][m], u[k][m]) for m in range(4)]) for k in range(4)]
    outputs = [_at([half[s] for half in halves]) for s in range(2)]
    down, across = _counts(geometry)
    shape = Planes((), STEPS, geometry.output, filters.shape[3])

    def plane(r: int, s: int) -> tf.Tensor:
        return resized(outputs[s][r], (down, across), shape.plane_size(r, s))

    return build(STEPS, geometry.output, filters.shape[3], plane)


def filter_gradient(
    x: Planes, dy: Planes, geometry: Geometry, scope: Scope
) -> tf.Tensor:
    """dw = G^T [V^T dM] G, [3, 3, c, f]."""
    v, dm = _tiles(x, geometry, scope), _output_tiles(dy, geometry, scope)
    size = x.channels * dy.channels
    du = [
        reshaped(gram(v[k][m], dm[k][m]), [1, size]) for k in range(4) for m in range(4)
    ]
    dw = product(tf.constant(_GG.T), concat(du, axis=0))
    return reshaped(dw, [3, 3, x.channels, dy.channels])


def input_gradient(
    dy: Planes, filters: tf.Tensor, geometry: Geometry, scope: Scope
) -> Planes:
    """dx: dV = dM U^T, spread by B and summed where tiles overlap."""
    dm = _output_tiles(dy, geometry, scope)
    channels = filters.shape[2]
    u = _filters(filters, scope, turned=True)
    down, across = _counts(geometry)
    shape = Planes((), STEPS, geometry.size, channels)
    top, left = geometry.padding[0][0], geometry.padding[1][0]
    lines: list[Four] = []  # [k][s]: [n * down, width of plane s * c]
    for k in range(4):
        times = (product, bare_product, bare_product, product)
        dv = _b([times[m](dm[k][m], u[k][m]) for m in range(4)])
        parts = [reshaped(part, [-1, across * channels]) for part in dv]
        widths = [shape.plane_size(0, s)[1] for s in range(2)]
        lines.append([_overlaid(parts, s, left, widths[s], channels) for s in range(2)])

    def plane(r: int, s: int) -> tf.Tensor:
        height, width = shape.plane_size(r, s)
        inner = width * channels
        four = _b([reshaped(line[s], [-1, down * inner]) for line in lines])
        return reshaped(_overlaid(four, r, top, height, inner), [-1, channels])

    return build(STEPS, geometry.size, channels, plane)


def _tiles(x: Planes, geometry: Geometry, scope: Scope) -> list[Four]:
    """V = B^T x B at [k][l], each [n * tiles, c]."""
    down, across = _counts(geometry)
    top, left = geometry.padding[0][0], geometry.padding[1][0]
    channels = x.channels

    def make() -> list[Four]:
        sides = []
        for s in range(2):
            inner = x.plane_size(0, s)[1] * channels
            planes = [
                reshaped(x.rows[r][s], [-1, x.plane_size(r, s)[0] * inner])
                for r in range(2)
            ]
            taps = _bt(_taps(planes, top, down, inner))
            sides.append([reshaped(tap, [-1, inner]) for tap in taps])
        return [
            [
                reshaped(v, [-1, channels])
                for v in _bt(_taps([side[k] for side in sides], left, across, channels))
            ]
            for k in range(4)
        ]

    return scope.once(("winograd tiles", x, geometry), make)


def _output_tiles(dy: Planes, geometry: Geometry, scope: Scope) -> list[Four]:
    """dM = A dy A^T at [k][l], each [n * tiles, f]."""

    def make() -> list[Four]:
        counts = _counts(geometry)
        whole = [
            [resized(dy.rows[r][s], dy.plane_size(r, s), counts) for r in range(2)]
            for s in range(2)
        ]
        sides = [_a(*side) for side in whole]
        return [_a(sides[0][k], sides[1][k]) for k in range(4)]

    return scope.once(("winograd output tiles", dy, geometry), make)


def _filters(filters: tf.Tensor, scope: Scope, turned: bool = False) -> list[Four]:
    """U = G w G^T at [k][l], each [c, f]; [f, c] if turned."""
    _, _, channels, count = filters.shape

    def make() -> list[Four]:
        w = reshaped(filters, [9, channels, count])
        shape = [channels, count]
        if turned:
            w, shape = tf.transpose(w, [0, 2, 1]), [count, channels]
        u = product(tf.constant(_GG), reshaped(w, [9, channels * count]))
        flat = [reshaped(u[i : i + 1, :], shape) for i in range(16)]
        return [flat[i : i + 4] for i in range(0, 16, 4)]

    return scope.once(("winograd filters", filters.ref(), turned), make)


def _counts(geometry: Geometry) -> tuple[int, int]:
    """Tiles down and across."""
    down, across = geometry.output
    return -(-down // 2), -(-across // 2)


def _taps(planes: Sequence[tf.Tensor], pad: int, count: int, inner: int) -> Four:
    """The four inputs of each of `count` tiles along one axis."""
    return [
        shifted(planes[(k - pad) % 2], (k - pad) // 2, count, inner) for k in range(4)
    ]


def _overlaid(
    taps: Sequence[tf.Tensor], parity: int, pad: int, size: int, inner: int
) -> tf.Tensor:
    """The adjoint of `_taps`, for the plane of one parity."""
    terms = [
        shifted(taps[k], -((k - pad) // 2), size, inner)
        for k in range(4)
        if (k - pad) % 2 == parity
    ]
    return total(terms)


def _bt(d: Sequence[tf.Tensor]) -> Four:
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]]


def _b(v: Sequence[tf.Tensor]) -> Four:
    return [v[0], (v[1] - v[2]) - v[3], (v[1] + v[2]) - v[0], v[3]]


def _at(m: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [m[0] + (m[1] + m[2]), (m[1] - m[2]) + m[3]]


def _a(first: tf.Tensor, second: tf.Tensor) -> Four:
    return [first, first + second, first - second, second]
