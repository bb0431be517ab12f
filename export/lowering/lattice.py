"""What one tap of every window sees of an image in planes, and its adjoint."""

from __future__ import annotations

import collections
from collections.abc import Iterable

import tensorflow as tf

from fedp.export.lowering.lines import reshaped, shifted, total
from fedp.export.lowering.planes import Planes, Steps, build
from fedp.export.lowering.table import Scope

Place = tuple[int, int]


def take(
    x: Planes, first: Place, count: Place, scope: Scope, fill: float = 0.0
) -> tf.Tensor:
    """Pixels first + (i, j) * steps as [n * count, c], `fill` outside of the image."""
    (q, down), (p, across) = locate(first, x.steps, x.size)
    height, width = x.plane_size(q, p)
    inner = width * x.channels

    def lines() -> tf.Tensor:
        plane = reshaped(x.rows[q][p], [-1, height * inner])
        return reshaped(shifted(plane, down, count[0], inner, fill), [-1, inner])

    def pixels() -> tf.Tensor:
        rows = scope.once(("lines", x, q, p, down, count[0], fill), lines)
        taken = shifted(rows, across, count[1], x.channels, fill)
        return reshaped(taken, [-1, x.channels])

    return scope.once(("take", x, q, p, down, across, count, fill), pixels)


def put(
    terms: Iterable[tuple[Place, Place, tf.Tensor]],
    steps: Steps,
    size: Place,
    channels: int,
) -> Planes:
    """The adjoint of `take`: the sum of all terms (first, count, rows), as planes."""
    by_plane: dict[Place, dict[tuple[int, int], list[tuple[int, int, tf.Tensor]]]]
    by_plane = collections.defaultdict(lambda: collections.defaultdict(list))
    for first, count, rows in terms:
        (q, down), (p, across) = locate(first, steps, size)
        by_plane[q, p][down, count[0]].append((across, count[1], rows))
        spare = (count, rows)
    shape = Planes((), steps, size, channels)

    def plane(q: int, p: int) -> tf.Tensor:
        height, width = shape.plane_size(q, p)
        if (q, p) not in by_plane:
            return zeros(*spare, height * width, channels)
        inner = width * channels
        lines = []
        for (down, n), group in by_plane[q, p].items():
            row = total(
                [
                    shifted(reshaped(t, [-1, m * channels]), -across, width, channels)
                    for across, m, t in group
                ]
            )
            lines.append(shifted(reshaped(row, [-1, n * inner]), -down, height, inner))
        return reshaped(total(lines), [-1, channels])

    return build(steps, size, channels, plane)


def locate(first: Place, steps: Steps, size: Place) -> tuple[Place, Place]:
    """((q, down), (p, across)): pixel `first` is (down, across) of plane (q, p).

    In place of a plane without pixels it names a pixel that the first one has not.
    """
    (q, down), (p, across) = (
        (f % step, f // step) if f % step < n else (0, n)
        for f, step, n in zip(first, steps, size, strict=True)
    )
    return (q, down), (p, across)


def zeros(count: Place, rows: tf.Tensor, pixels: int, channels: int) -> tf.Tensor:
    """Rows [n * pixels, c] of zeros, for the n of `rows` [n * count, c]."""
    image = reshaped(rows, [-1, count[0] * count[1] * channels])
    nothing = shifted(image, count[0] * count[1], pixels, channels)
    return reshaped(nothing, [-1, channels])
