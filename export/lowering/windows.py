"""How windows lie on an image."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.table import place


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

    def firsts(self) -> list[tuple[int, int]]:
        """The pixel that each tap of the first window sees; negative in padding."""
        top, left = self.padding[0][0], self.padding[1][0]
        return [(down - top, across - left) for down, across in self.taps]


def conv_geometry(op: tf.Operation, x: Any, filters: Any) -> Geometry:
    """How a convolution's windows lie.

    Args:
        op: a convolution or one of its gradients.
        x: shape of the image, [n, h, w, c].
        filters: shape of the filters, [kh, kw, c, ...].

    Raises:
        ExportError: it is of a kind without a lowering.
    """
    if op.get_attr("data_format") != b"NHWC":
        raise ExportError(
            f"{place(op)}: channels first is not supported: build the model "
            "channels last"
        )
    if op.get_attr("padding") == b"EXPLICIT":
        raise ExportError(
            f"{place(op)}: explicit padding is not supported: use SAME, VALID or a "
            "ZeroPadding2D layer"
        )
    if x[3] != filters[2]:
        raise ExportError(
            f"{place(op)}: grouped convolution is not supported: use groups=1"
        )
    return _geometry(op, x, filters[:2], op.get_attr("dilations")[1:3])


def pool_geometry(op: tf.Operation, x: Any) -> Geometry:
    """How a pool's windows lie on an image of shape x."""
    if op.get_attr("data_format") != b"NHWC":
        raise ExportError(
            f"{place(op)}: channels first is not supported: build the model "
            "channels last"
        )
    return _geometry(op, x, op.get_attr("ksize")[1:3], (1, 1))


def _geometry(op: tf.Operation, x: Any, window: Any, dilations: Any) -> Geometry:
    _, down, across, _ = op.get_attr("strides")
    return Geometry.of(
        (x[1], x[2]),
        (window[0], window[1]),
        (down, across),
        (dilations[0], dilations[1]),
        op.get_attr("padding").decode(),
    )
