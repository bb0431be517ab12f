"""The models as neutral lists of layers, which every peer builds in its own way.

Images are [n, height, width, channels]. No layer pads, and a fully connected one sees
the pixels in the order height, width, channels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

INPUT_SHAPE = (28, 28, 1)
CLASSES = 62

Shape = tuple[int, ...]


class Conv(NamedTuple):
    """A convolution; kernel [size, size, channels, filters], bias [filters]."""

    filters: int
    size: int
    stride: int = 1

    def weights(self, before: Shape) -> list[Shape]:
        return [(self.size, self.size, before[2], self.filters), (self.filters,)]

    def after(self, before: Shape) -> Shape:
        height, width = ((n - self.size) // self.stride + 1 for n in before[:2])
        return height, width, self.filters


class DepthwiseConv(NamedTuple):
    """A convolution of each channel; kernel [size, size, channels, 1]."""

    size: int

    def weights(self, before: Shape) -> list[Shape]:
        return [(self.size, self.size, before[2], 1), (before[2],)]

    def after(self, before: Shape) -> Shape:
        height, width = (n - self.size + 1 for n in before[:2])
        return height, width, before[2]


class Relu(NamedTuple):
    """max(x, 0)."""

    def weights(self, before: Shape) -> list[Shape]:
        return []

    def after(self, before: Shape) -> Shape:
        return before


class MaxPool(NamedTuple):
    """The largest of each window, 2x2 by default; what is left over is dropped."""

    size: int = 2

    def weights(self, before: Shape) -> list[Shape]:
        return []

    def after(self, before: Shape) -> Shape:
        return before[0] // self.size, before[1] // self.size, before[2]


class Flatten(NamedTuple):
    """An image as one row."""

    def weights(self, before: Shape) -> list[Shape]:
        return []

    def after(self, before: Shape) -> Shape:
        return (math.prod(before),)


class Dense(NamedTuple):
    """Fully connected; kernel [inputs, units], bias [units]."""

    units: int

    def weights(self, before: Shape) -> list[Shape]:
        return [(before[0], self.units), (self.units,)]

    def after(self, before: Shape) -> Shape:
        return (self.units,)


Layer = Conv | DepthwiseConv | Relu | MaxPool | Flatten | Dense

_HEAD = (Flatten(), Dense(128), Relu(), Dense(CLASSES))

MODELS: dict[str, tuple[Layer, ...]] = {
    "emnist_cnn": (Conv(32, 3), Relu(), Conv(64, 3), Relu(), MaxPool(), *_HEAD),
    "cnn5x5": (
        *(Conv(32, 5), Relu(), MaxPool()),
        *(Conv(64, 5), Relu(), MaxPool()),
        *_HEAD,
    ),
    "cnn_stride": (Conv(32, 3, 2), Relu(), Conv(64, 3, 2), Relu(), *_HEAD),
    "cnn_1x1": (
        *(Conv(32, 3), Relu(), Conv(16, 1), Relu()),
        *(Conv(64, 3), Relu(), MaxPool()),
        *_HEAD,
    ),
    "cnn_depthwise": (
        *(Conv(32, 3), Relu()),
        *(DepthwiseConv(3), Relu(), Conv(64, 1), Relu(), MaxPool()),
        *_HEAD,
    ),
    "mlp": (Flatten(), Dense(200), Relu(), Dense(200), Relu(), Dense(CLASSES)),
}


def with_shapes(model: str) -> list[tuple[Layer, Shape]]:
    """A model's layers, each with the shape of one example before it."""
    shape: Shape = INPUT_SHAPE
    found = []
    for layer in MODELS[model]:
        found.append((layer, shape))
        shape = layer.after(shape)
    return found


def initial_weights(model: str, seed: int) -> list[np.ndarray]:
    """Kernels after He et al. 2015, biases of 0; float32, in the layers' order."""
    random = np.random.default_rng(seed)
    weights = []
    for layer, before in with_shapes(model):
        for shape in layer.weights(before):
            # A depthwise kernel's channels are not summed over.
            summed = shape[:-2] if shape[-1] == 1 else shape[:-1]
            scale = math.sqrt(2 / math.prod(summed)) if summed else 0.0
            weights.append((scale * random.normal(0, 1, shape)).astype(np.float32))
    return weights
