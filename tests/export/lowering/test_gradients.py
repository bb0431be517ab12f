"""Every lowering against TensorFlow's own op, in values and in gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.table import BUILTIN
from tests.export.lowering.comparing import ONE, compare, graph_of

layers = tf.keras.layers


def images(shape=(6, 9, 8, 3), seed=0) -> np.ndarray:
    """Random images half of whose pixels are 0, so that maxima tie."""
    x = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return np.where(x < 0.5, np.float32(0), x)


def network(*middle) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [layers.Input((9, 8, 3)), *middle, layers.Flatten(), layers.Dense(5)]
    )


@settings(max_examples=25, deadline=None)
@given(
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", None]),
)
def test_convolution(window, stride, padding, activation):
    convolution = layers.Conv2D(
        4,
        window,
        stride,
        padding,
        activation=activation,
        bias_initializer="random_normal",
    )
    # A second one, so that the gradient by the input is compared too.
    ops = compare(network(convolution, layers.Conv2D(3, 2, padding="same")), images())
    assert not ops & {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"}


class DilatedConvolution(layers.Layer):
    """The op itself: Keras' layer spells dilation with other ops."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", (3, 2, shape[-1], 4))

    def call(self, x):
        return tf.nn.conv2d(x, self.kernel, 1, "SAME", dilations=[2, 3])


def test_dilated_convolution():
    compare(network(layers.Conv2D(2, 1), DilatedConvolution()), images())


@settings(max_examples=25, deadline=None)
@given(
    pool=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    seed=st.integers(0, 5),
)
def test_max_pooling_sends_ties_to_the_first_maximum(pool, stride, padding, seed):
    before = layers.Conv2D(4, 1, kernel_initializer="ones", activation="relu")
    model = network(before, layers.MaxPool2D(pool, stride, padding))
    assert "MaxPoolGrad" not in compare(model, images(seed=seed))


def test_constant_image_is_all_ties():
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.MaxPool2D())
    compare(model, np.ones((4, 9, 8, 3), np.float32))


def test_examples_of_weight_zero_count_for_nothing():
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.MaxPool2D())
    weight = np.array([1, 0.5, 1, 0, 0, 0], np.float32)
    compare(model, images(), weight)

    graph = graph_of(model)
    y = np.array([0, 1, 2, 3, 4, 0], np.int32)
    part = graph(*map(tf.constant, (images()[:3], y[:3], weight[:3])), ONE)
    whole = graph(*map(tf.constant, (images(), y, weight)), ONE)
    for a, b in zip(part, whole):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_batch_of_padding_alone_moves_nothing():
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
def test_dense_models(middle):
    ops = compare(network(*middle), images())
    assert ops - BUILTIN <= {"Placeholder", "BatchMatMulV2", "Reshape", "OneHot"} | {
        "Ceil",
        "NoOp",
    }


def test_branches_and_residuals():
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
        (layers.DepthwiseConv2D(3), "DepthwiseConv2dNative"),
        (layers.Conv2D(6, 3, groups=3), "grouped"),
    ],
    ids=["depthwise", "groups"],
)
def test_unsupported_layer_is_named(layer, op):
    with pytest.raises(ExportError, match=f"{layer.name}.*{op}"):
        compare(network(layer), images())
