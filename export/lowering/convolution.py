"""Convolutions as patches times a matrix (im2col), forward and both gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.matmul import product, transposed
from fedp.export.lowering.table import Scope, lowers, place
from fedp.export.lowering.windows import Geometry, crop, pad, put, take

_FAN_IN = 4  # XNNPACK takes a concatenation of at most 4 or 5 tensors


@lowers("Conv2D")
def conv2d(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """y = patches(x) W: [n down across, taps c] times [taps c, filters]."""
    x, filters = inputs
    geometry = _geometry(op, x.shape, filters.shape)
    flat = product(_patches(x, geometry, scope), _matrix(filters))
    return [tf.reshape(flat, [-1, *geometry.output, filters.shape[3]])]


@lowers("Conv2DBackpropFilter")
def conv2d_backprop_filter(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """dW = patches(x)^T dy."""
    x, _, dy = inputs
    shape = op.outputs[0].shape
    geometry = _geometry(op, x.shape, shape)
    rows = tf.reshape(dy, [-1, dy.shape[3]])
    patches = _patches(x, geometry, scope)
    gradient = product(_transposed_once(patches, scope), rows)
    return [tf.reshape(gradient, shape)]


@lowers("Conv2DBackpropInput")
def conv2d_backprop_input(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """dx: dy W^T, every tap's share put back where it was taken from, and summed."""
    _, filters, dy = inputs
    geometry = _geometry(op, op.outputs[0].shape, filters.shape)
    rows = tf.reshape(dy, [-1, dy.shape[3]])
    shares = product(rows, transposed(_matrix(filters)))
    channels = filters.shape[2]
    total = None
    for number, tap in enumerate(geometry.taps):
        share = shares[:, number * channels : (number + 1) * channels]
        placed = put(tf.reshape(share, [-1, *geometry.output, channels]), tap, geometry)
        total = placed if total is None else total + placed
    return [crop(total, geometry)]


def _patches(x: tf.Tensor, geometry: Geometry, scope: Scope) -> tf.Tensor:
    """Each window as a row: [n down across, taps c]; made once for both passes."""

    def make() -> tf.Tensor:
        padded = pad(x, geometry)
        parts = [
            tf.reshape(take(padded, tap, geometry), [-1, x.shape[3]])
            for tap in geometry.taps
        ]
        return _concatenated(parts)

    return scope.once(("patches", x.ref(), geometry), make)


def _transposed_once(patches: tf.Tensor, scope: Scope) -> tf.Tensor:
    return scope.once(("transposed", patches.ref()), lambda: transposed(patches))


def _concatenated(parts: list[tf.Tensor]) -> tf.Tensor:
    while len(parts) > 1:
        groups = [parts[i : i + _FAN_IN] for i in range(0, len(parts), _FAN_IN)]
        parts = [tf.concat(g, 1) if len(g) > 1 else g[0] for g in groups]
    return parts[0]


def _matrix(filters: tf.Tensor) -> tf.Tensor:
    height, width, channels, count = filters.shape
    return tf.reshape(filters, [height * width * channels, count])


def _geometry(op: tf.Operation, x: Any, filters: Any) -> Geometry:
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
    strides, dilations = op.get_attr("strides"), op.get_attr("dilations")
    return Geometry.of(
        (x[1], x[2]),
        (filters[0], filters[1]),
        (strides[1], strides[2]),
        (dilations[1], dilations[2]),
        op.get_attr("padding").decode(),
    )
