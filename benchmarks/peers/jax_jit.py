"""JAX: a jitted step whose weights are donated."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from device import layers
from device.peer import Peer, Predict, Train
from device.work import Work


def train(work: Work) -> Train:
    _one_thread()
    import jax

    def mean_loss(weights: list[Any], x: Any, y: Any) -> Any:
        chances = jax.nn.log_softmax(_forward(work, weights, x))
        return -chances[jax.numpy.arange(len(y)), y].mean()

    def update(weights: list[Any], x: Any, y: Any) -> tuple[list[Any], Any]:
        loss, gradients = jax.value_and_grad(mean_loss)(weights, x, y)
        pairs = zip(weights, gradients, strict=True)
        return [weight - work.learning_rate * g for weight, g in pairs], loss

    jitted = jax.jit(update, donate_argnums=0)
    weights = [jax.numpy.asarray(weight) for weight in work.weights()]

    def step(x: np.ndarray, y: np.ndarray) -> float:
        nonlocal weights
        weights, loss = jitted(weights, x, y)
        return float(loss)

    return step


def predict(work: Work, examples: int) -> Predict:
    _one_thread()
    import jax

    weights = [jax.numpy.asarray(weight) for weight in work.weights()]
    infer = jax.jit(lambda weights, x: jax.nn.softmax(_forward(work, weights, x)))
    return lambda x: np.asarray(infer(weights, x))


def _one_thread() -> None:
    """Limits XLA, which reads this when it is imported."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["JAX_PLATFORMS"] = "cpu"


def _forward(work: Work, weights: list[Any], x: Any) -> Any:
    import jax

    left = iter(weights)
    for layer, before in work.layers:
        match layer:
            case layers.Conv():
                x = _convolved(x, next(left), layer.stride) + next(left)
            case layers.DepthwiseConv():
                # [size, size, channels, 1] to [size, size, 1, channels]
                kernel, channels = next(left).transpose(0, 1, 3, 2), before[2]
                x = _convolved(x, kernel, groups=channels) + next(left)
            case layers.Relu():
                x = jax.nn.relu(x)
            case layers.MaxPool():
                x = _pooled(x, layer.size)
            case layers.Flatten():
                x = x.reshape(len(x), -1)
            case layers.Dense():
                x = x @ next(left) + next(left)
    return x


def _convolved(x: Any, kernel: Any, stride: int = 1, groups: int = 1) -> Any:
    import jax

    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _pooled(x: Any, size: int) -> Any:
    """By a reshape: `reduce_window` makes a step of `emnist_cnn` 1.4 times as long."""
    count, height, width, channels = x.shape
    height, width = height // size, width // size
    x = x[:, : height * size, : width * size]
    return x.reshape(count, height, size, width, size, channels).max((2, 4))


PEER = Peer("JAX jit", ("jax", "numpy"), "pip install jax", train, predict)
