"""How windows lie on an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

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

    @classmethod
    def of_op(
        cls, op: tf.Operation, size: Sequence[int], window: Sequence[int]
    ) -> Geometry:
        """Reads strides, dilations and padding of a convolution."""
        strides, dilations = op.get_attr("strides"), op.get_attr("dilations")
        return cls.of(
            (size[0], size[1]),
            (window[0], window[1]),
            (strides[1], strides[2]),
            (dilations[1], dilations[2]),
            op.get_attr("padding").decode(),
        )

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
