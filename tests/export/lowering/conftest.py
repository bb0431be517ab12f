"""Comparisons of lowered models with TensorFlow, traced and as files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime.contract import CROSS_ENTROPY  # noqa: E402
from fedp.device_runtime.interpreter import (  # noqa: E402
    available_interpreters,
    load_interpreter,
)
from fedp.export.conversion import convert  # noqa: E402
from fedp.export.device_optimizers import device_optimizer  # noqa: E402
from fedp.export.losses import loss_for  # noqa: E402
from fedp.export.lowering.rewrite import rewrite  # noqa: E402
from fedp.export.signatures import ArtifactModule, train_graph  # noqa: E402
from fedp.export.trainable import parts_of  # noqa: E402

TOLERANCE = 1e-5  # of a gradient's scale, as float32 sums in another order


ONE = tf.ones([1])


def graph_of(model):
    return train_graph(parts_of(model), loss_for(model, CROSS_ENTROPY))


def file_of(model) -> bytes:
    rule = loss_for(model, CROSS_ENTROPY)
    return convert(ArtifactModule(parts_of(model), rule, device_optimizer("sgd")))


def scales(gradients) -> list[float]:
    """What an error of each is measured by; a bias' terms may nearly cancel."""
    largest = [float(np.abs(g).max()) for g in gradients]
    return [max(own, 0.02 * max(largest), 1e-6) for own in largest]


def compare_graphs(model, x, weight=None) -> set[str]:
    random = np.random.default_rng(1)
    y = random.integers(0, model.output_shape[1], len(x)).astype(np.int32)
    weight = np.ones(len(x), np.float32) if weight is None else weight
    graph = graph_of(model)
    variables = model.trainable_variables

    @tf.function(autograph=False)
    def lowered(x, y, weight, *values):
        named = {id(v.handle): value for v, value in zip(variables, values)}
        return rewrite(graph, [x, y, weight, ONE], named)

    values = [tf.constant(v.numpy()) for v in variables]
    inputs = [tf.constant(x), tf.constant(y), tf.constant(weight)]
    specs = [tf.TensorSpec([None, *x.shape[1:]]), tf.TensorSpec([None], tf.int32)]
    concrete = lowered.get_concrete_function(*specs, tf.TensorSpec([None]), *values)
    reference = [t.numpy() for t in graph(*inputs, ONE)]
    results = concrete(*inputs, *values)
    for expected, found, scale in zip(reference, results, scales(reference)):
        np.testing.assert_allclose(found, expected, atol=TOLERANCE * scale, rtol=0)
    return {op.type for op in concrete.graph.get_operations()}


def compare_steps(model, sizes) -> bytes:
    graph = graph_of(model)
    content = file_of(model)
    before = [v.numpy() for v in model.trainable_variables]
    random = np.random.default_rng(0)
    for kind in available_interpreters():
        file = load_interpreter(content, kind)
        for size in sizes:
            x = random.random((size, *model.input_shape[1:]), np.float32)
            x = np.where(x < 0.5, np.float32(0), x)
            y = random.integers(0, model.output_shape[1], size).astype(np.int32)
            weight = np.ones(size, np.float32)
            graphs = graph(*map(tf.constant, (x, y, weight)), ONE)
            loss, *gradients = (t.numpy() for t in graphs)
            file.run("restore", **{f"w{i}": w for i, w in enumerate(before)})
            # So large a rate that the weights before are lost in the weights after.
            rate = np.full(1, 1e4, np.float32)
            step = file.run("train", x=x, y=y, weight=weight, learning_rate=rate)
            after = file.run("save", unused=np.zeros(1, np.int32))
            np.testing.assert_allclose(step["loss"][0], loss, rtol=1e-5)
            for i, scale in enumerate(scales(gradients)):
                old, gradient = before[i], gradients[i]
                found = (old - after[f"w{i}"]) / rate
                bound = TOLERANCE * scale + 1e-7 * np.abs(old).max() / rate[0]
                np.testing.assert_allclose(found, gradient, atol=bound, rtol=0)
    return content


@pytest.fixture(scope="session")
def compare() -> Callable[..., set[str]]:
    """Asserts equal loss and gradients; returns the op types of the lowered graph."""
    return compare_graphs


@pytest.fixture(scope="session")
def compare_files() -> Callable[..., bytes]:
    """Asserts that one file's steps are TensorFlow's at each batch size."""
    return compare_steps


@pytest.fixture(scope="session")
def images() -> Callable[..., np.ndarray]:
    """Makes random images half of whose pixels are 0, so that maxima tie."""

    def make(shape=(6, 9, 8, 3), seed=0) -> np.ndarray:
        x = np.random.default_rng(seed).random(shape, dtype=np.float32)
        return np.where(x < 0.5, np.float32(0), x)

    return make


@pytest.fixture(scope="session")
def network() -> Callable[..., tf.keras.Model]:
    """Makes a classifier of 5 classes with these layers in the middle."""
    layers = tf.keras.layers

    def make(*middle, shape=(9, 8, 3)) -> tf.keras.Model:
        tf.keras.utils.set_random_seed(0)
        return tf.keras.Sequential(
            [layers.Input(shape), *middle, layers.Flatten(), layers.Dense(5)]
        )

    return make
