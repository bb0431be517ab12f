"""Every lowering against TensorFlow's own op, in values and in gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.contract import CROSS_ENTROPY
from fedp.device_runtime.errors import ExportError
from fedp.export.losses import loss_for
from fedp.export.lowering.table import BUILTIN
from fedp.export.signatures import train_graph
from fedp.export.trainable import parts_of

layers = tf.keras.layers


ONE = tf.ones([1])


def graph_of(model):
    return train_graph(parts_of(model), loss_for(model, CROSS_ENTROPY))


def test_examples_of_weight_zero_count_for_nothing(compare, network, images):
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.MaxPool2D())
    weight = np.array([1, 0.5, 1, 0, 0, 0], np.float32)
    compare(model, images(), weight)

    graph = graph_of(model)
    y = np.array([0, 1, 2, 3, 4, 0], np.int32)
    part = graph(*map(tf.constant, (images()[:3], y[:3], weight[:3])), ONE)
    whole = graph(*map(tf.constant, (images(), y, weight)), ONE)
    for a, b in zip(part, whole):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_batch_of_padding_alone_moves_nothing(network, images):
    graph = graph_of(network(layers.Conv2D(2, 3)))
    inputs = [images(), np.zeros(6, np.int32), np.zeros(6, np.float32)]
    assert all(not np.any(t) for t in graph(*map(tf.constant, inputs), ONE))


@pytest.mark.parametrize(
    "middle",
    [
        [layers.Flatten(), layers.Dense(7, activation="relu")],
        [layers.Flatten(), layers.Dense(7), layers.ReLU(), layers.Dense(6)],
        [layers.Reshape((216,)), layers.Dense(4, activation="tanh", use_bias=False)],
        [layers.Flatten(), layers.Dense(4, activation="sigmoid")],
        [layers.Flatten(), layers.Dense(4), layers.Softmax()],
    ],
    ids=["dense", "relu layer", "reshape", "sigmoid", "softmax"],
)
def test_dense_models(middle, compare, network, images):
    ops = compare(network(*middle), images())
    assert ops - BUILTIN <= {"Placeholder", "BatchMatMulV2", "Reshape", "OneHot"} | {
        "Ceil",
        "NoOp",
    }


def test_branches_and_residuals(compare, images):
    tf.keras.utils.set_random_seed(0)
    x = layers.Input((9, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = layers.Conv2D(4, 1)(x)
    both = layers.Add()([a, layers.Multiply()([a, b])])
    y = layers.Dense(5)(layers.Flatten()(both))
    compare(tf.keras.Model(x, y), images())


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (layers.Conv2D(6, 3, groups=3), "grouped"),
    ],
    ids=["groups"],
)
def test_unsupported_layer_is_named(layer, op, compare, network, images):
    with pytest.raises(ExportError, match=f"{layer.name}.*{op}"):
        compare(network(layer), images())
