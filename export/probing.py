"""Finds where a converter puts each number of the weights, by making each unique.

A probe is the weights with consecutive bit patterns in place of their numbers: every
number then tells where it comes from. Two probes that differ by a shift tell weights
from constants that happen to look like them, and from numbers the converter has
computed from weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_FIRST = 0x3F000001  # Just above 0.5: finite and normal, no neutral element.


class Layout(NamedTuple):
    """An affine walk through a flat array.

    Attributes:
        offset: of the first number.
        shape: of the walk; the last axis is the fastest.
        strides: by axis, in numbers.
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def indices(self) -> np.ndarray:
        """Where each step of the walk is, int64 of `shape`."""
        found = np.array(self.offset, np.int64)
        for count, stride in zip(self.shape, self.strides, strict=True):
            found = found[..., np.newaxis] + stride * np.arange(count)
        return found


def probe(shapes: Sequence[tuple[int, ...]], number: int) -> list[np.ndarray]:
    """Weights of these shapes, float32, that tell where each of their numbers is.

    Args:
        shapes: of the weights, in order.
        number: 0 or 1: which of the two probes.
    """
    sizes = [math.prod(shape) for shape in shapes]
    first = _FIRST + number * sum(sizes)
    starts = first + np.cumsum([0, *sizes])
    return [
        np.arange(start, start + size, dtype=np.uint32).view(np.float32).reshape(shape)
        for start, size, shape in zip(starts, sizes, shapes, strict=False)
    ]


def numbers_of(first: bytes, second: bytes, count: int) -> np.ndarray | None:
    """Which numbers of the weights a buffer holds, of `count` in all.

    Args:
        first: the buffer's bytes with probe 0.
        second: the same with probe 1.
        count: how many numbers the weights have.

    Returns:
        int64, flat; None if there is one number that is not of the weights.
    """
    if len(first) != len(second) or len(first) % 4:
        return None
    found = [
        np.frombuffer(data, np.uint32).astype(np.int64) for data in (first, second)
    ]
    numbers = found[0] - _FIRST
    inside = (numbers >= 0) & (numbers < count)
    return numbers if (inside & (found[1] - found[0] == count)).all() else None


def layout_of(numbers: np.ndarray, shape: tuple[int, ...]) -> Layout | None:
    """The walk that visits these numbers in this order, None if there is none.

    Args:
        numbers: int64, flat.
        shape: of the tensor that holds them; tried first.
    """
    by_axis = numbers.reshape(shape)
    origin = (0,) * len(shape)
    strides = []
    for axis, count in enumerate(shape):
        second = tuple(int(count > 1 and a == axis) for a in range(len(shape)))
        strides.append(int(by_axis[second] - by_axis[origin]))
    walks = [Layout(int(numbers[0]), tuple(shape), tuple(strides)), _split(numbers)]
    for walk in walks:
        if (walk.indices().ravel() == numbers).all():
            return _merged(walk)
    return None


def _split(numbers: np.ndarray) -> Layout:
    """Guesses axes from where even steps end, the fastest first."""
    shape: list[int] = []
    strides: list[int] = []
    rest = numbers
    while len(rest) > 1:
        steps = np.diff(rest)
        uneven = np.flatnonzero(steps != steps[0])
        run = int(uneven[0]) + 1 if len(uneven) else len(rest)
        count = max(n for n in range(1, run + 1) if len(rest) % n == 0)
        if count == 1:  # Whatever the step is, it is no axis.
            break
        shape.insert(0, count)
        strides.insert(0, int(steps[0]))
        rest = rest[::count]
    if len(rest) > 1:
        shape.insert(0, len(rest))
        strides.insert(0, 0)
    return Layout(int(numbers[0]), tuple(shape), tuple(strides))


def _merged(walk: Layout) -> Layout:
    """The same walk with as few axes as can be."""
    shape: list[int] = []
    strides: list[int] = []
    for count, stride in zip(walk.shape, walk.strides, strict=True):
        if count == 1:
            continue
        if shape and strides[-1] == count * stride:
            shape[-1] *= count
            strides[-1] = stride
        else:
            shape.append(count)
            strides.append(stride)
    return Layout(walk.offset, tuple(shape), tuple(strides))
