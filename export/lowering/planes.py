"""Images as parity planes: pixels that lie a stride apart, each set its own tensor.

A stride becomes a choice of plane, so that convolution and pooling need slices of unit
step alone, which XNNPACK takes; strided ones run outside the delegate (1.4 ms each on
LiteRT).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import tensorflow as tf

from fedp.export.lowering.lines import join, reshaped, shifted, split
from fedp.export.lowering.table import Scope

Steps = tuple[int, int]
NHWC: Steps = (1, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Planes:
    """An image [n, h, w, c] as planes of every step-th pixel.

    Attributes:
        rows: plane (r, s) at `rows[r][s]`, the pixels (i * down + r, j * across + s)
            as [n * its height * its width, c]; None where it has no pixels.
        steps: (down, across), the distances of neighbours in a plane; (1, 1) is NHWC.
        size: (h, w).
        channels: c.
    """

    rows: tuple[tuple[tf.Tensor | None, ...], ...]
    steps: Steps
    size: tuple[int, int]
    channels: int

    @property
    def shape(self) -> tf.TensorShape:
        """The image's shape, as a tensor has one."""
        return tf.TensorShape([None, *self.size, self.channels])

    def __iter__(self) -> Iterator[tuple[int, int, tf.Tensor]]:
        """(r, s, rows) of each plane that has pixels."""
        for r, line in enumerate(self.rows):
            for s, rows in enumerate(line):
                if rows is not None:
                    yield r, s, rows

    def plane_size(self, r: int, s: int) -> tuple[int, int]:
        """Height and width of plane (r, s)."""
        down, across = (
            -(-(n - first) // step)
            for n, first, step in zip(self.size, (r, s), self.steps, strict=True)
        )
        return max(down, 0), max(across, 0)


Image: TypeAlias = tf.Tensor | Planes


def build(
    steps: Steps,
    size: tuple[int, int],
    channels: int,
    plane: Callable[[int, int], tf.Tensor],
) -> Planes:
    """Planes of these steps, each made by `plane` if it has pixels."""
    empty = Planes((), steps, size, channels)
    rows = tuple(
        tuple(
            plane(r, s) if all(empty.plane_size(r, s)) else None
            for s in range(steps[1])
        )
        for r in range(steps[0])
    )
    return dataclasses.replace(empty, rows=rows)


def map_rows(
    planes: Planes, function: Callable[[tf.Tensor], tf.Tensor], channels: int
) -> Planes:
    """Planes whose rows are a function's of these planes' rows."""

    def plane(r: int, s: int) -> tf.Tensor:
        return function(planes.rows[r][s])

    return build(planes.steps, planes.size, channels, plane)


def planes_of(image: Image, steps: Steps, scope: Scope) -> Planes:
    """The image in these steps, converted once."""
    if isinstance(image, Planes) and image.steps == steps:
        return image
    if isinstance(image, Planes):
        image = nhwc(image, scope)
    return scope.once(("planes", image.ref(), steps), lambda: _cut(image, steps))


def nhwc(image: Image, scope: Scope) -> tf.Tensor:
    """The image as one tensor [n, h, w, c], converted once."""
    if not isinstance(image, Planes):
        return image
    return scope.once(("nhwc", image), lambda: _assembled(image))


def simplest(planes: Planes, scope: Scope) -> Image:
    """The planes, or the tensor if they are one plane."""
    return nhwc(planes, scope) if planes.steps == NHWC else planes


def _cut(image: tf.Tensor, steps: Steps) -> Planes:
    _, height, width, channels = image.shape
    line = width * channels
    across = [
        split(reshaped(lines, [-1, line]), steps[1], channels)
        for lines in split(reshaped(image, [-1, height * line]), steps[0], line)
    ]

    def plane(r: int, s: int) -> tf.Tensor:
        return reshaped(across[r][s], [-1, channels])

    return build(steps, (height, width), channels, plane)


def _assembled(planes: Planes) -> tf.Tensor:
    height, width = planes.size
    channels = planes.channels
    lines = []
    for r, line in enumerate(planes.rows):
        down = planes.plane_size(r, 0)[0]
        parts = [
            reshaped(rows, [-1, planes.plane_size(r, s)[1] * channels])
            for s, rows in enumerate(line)
            if rows is not None
        ]
        if parts:
            joined = join(parts, width, planes.steps[1], channels)
            lines.append(reshaped(joined, [-1, down * width * channels]))
    image = join(lines, height, planes.steps[0], width * channels)
    return reshaped(image, [-1, height, width, channels])


def resized(rows: tf.Tensor, size: Steps, target: Steps) -> tf.Tensor:
    """A plane's rows cropped, or padded with zeros, at its end."""
    if size == target:
        return rows
    channels = rows.shape[1]
    if size[1] != target[1]:
        lines = reshaped(rows, [-1, size[1] * channels])
        rows = shifted(lines, 0, target[1], channels)
    if size[0] != target[0]:
        inner = target[1] * channels
        rows = shifted(reshaped(rows, [-1, size[0] * inner]), 0, target[0], inner)
    return reshaped(rows, [-1, channels])
