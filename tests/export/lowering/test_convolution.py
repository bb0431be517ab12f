"""Convolutions of every geometry against TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

layers = tf.keras.layers
CONVOLUTIONS = {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"}
# The same examples always: float32 decides near-ties between values either way.
few = settings(max_examples=8, deadline=None, derandomize=True)
paddings = st.sampled_from(["valid", "same"])
pairs = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731


def conv(filters, window, strides=1, padding="valid", **options):
    return layers.Conv2D(
        filters,
        window,
        strides,
        padding,
        bias_initializer="random_normal",
        **{"activation": "relu", **options},
    )


@few
@given(size=pairs(4, 11), channels=st.integers(4, 6), padding=paddings)
def test_three_by_three(size, channels, padding, compare, network, images):
    shape = (*size, 5)
    model = network(conv(channels, 1), conv(3, 3, padding=padding), shape=shape)
    assert not compare(model, images((3, *shape))) & CONVOLUTIONS


@few
@given(size=pairs(8, 11), paddings=st.tuples(paddings, paddings), pool=pairs(1, 3))
def test_chain_of_three_by_threes(size, paddings, pool, compare, network, images):
    model = network(
        conv(4, 3, padding=paddings[0]),
        conv(5, 3, padding=paddings[1], use_bias=False, activation=None),
        conv(4, 3, padding="same"),
        layers.MaxPool2D(pool, padding="same"),
        shape=(*size, 4),
    )
    compare(model, images((3, *size, 4)))


@few
@given(
    size=pairs(5, 9),
    window=pairs(1, 5),
    strides=pairs(1, 3),
    padding=paddings,
    activation=st.sampled_from(["relu", "tanh", "sigmoid", None]),
)
def test_any_window(
    size, window, strides, padding, activation, compare, network, images
):
    middle = [
        conv(4, 1),
        conv(4, window, strides, padding, activation=activation),
        conv(3, 2, padding="same"),
    ]
    compare(network(*middle, shape=(*size, 3)), images((3, *size, 3)))


@few
@given(
    channels=st.integers(1, 3),
    window=pairs(1, 5),
    strides=pairs(1, 2),
    padding=paddings,
    after=st.sampled_from(["pool", "convolution", "average", "nothing"]),
)
def test_few_channels(
    channels, window, strides, padding, after, compare, network, images
):
    following = {
        "pool": [layers.MaxPool2D(2, padding="same")],
        "convolution": [conv(4, 3, padding="same")],
        "average": [layers.AvgPool2D(3, 2, "same")],
        "nothing": [],
    }[after]
    model = network(
        conv(4, window, strides, padding), *following, shape=(12, 11, channels)
    )
    compare(model, images((3, 12, 11, channels)))


@few
@given(window=pairs(1, 5), padding=paddings, pool=pairs(1, 3))
def test_window_before_a_pool(window, padding, pool, compare, network, images):
    model = network(
        conv(4, 1),
        conv(4, window, padding=padding),
        layers.MaxPool2D(pool, padding="same"),
        shape=(8, 7, 2),
    )
    compare(model, images((3, 8, 7, 2)))


@few
@given(size=pairs(7, 10), dilation=pairs(2, 3), padding=paddings)
def test_dilation_of_keras(size, dilation, padding, compare, network, images):
    model = network(
        conv(4, 1),
        conv(5, (3, 2), padding=padding, dilation_rate=dilation),
        shape=(*size, 3),
    )
    compare(model, images((3, *size, 3)))


class DilatedConvolution(layers.Layer):
    """The op itself: Keras' layer spells dilation with other ops."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", (3, 2, shape[-1], 4))

    def call(self, x):
        return tf.nn.conv2d(x, self.kernel, 1, "SAME", dilations=[2, 3])


@pytest.mark.parametrize("channels", [2, 5])
def test_dilation_of_the_op(channels, compare, network, images):
    compare(network(conv(channels, 1), DilatedConvolution()), images())


@few
@given(
    length=st.integers(5, 12),
    window=st.integers(1, 5),
    stride=st.integers(1, 2),
    padding=st.sampled_from(["valid", "same", "causal"]),
)
def test_one_dimension(length, window, stride, padding, compare, network, images):
    model = network(
        layers.Conv1D(4, window, stride, padding, activation="relu"),
        layers.Conv1D(3, 2, padding="causal", dilation_rate=2),
        layers.ZeroPadding1D(1),
        shape=(length, 5),
    )
    compare(model, images((3, length, 5)))


def test_zero_padding(compare, network, images):
    model = network(conv(4, 1), layers.ZeroPadding2D(((1, 0), (2, 1))), conv(4, 3, 2))
    compare(model, images())


def functional(build, shape=(9, 8, 4)):
    tf.keras.utils.set_random_seed(0)
    x = layers.Input(shape)
    return tf.keras.Model(x, layers.Dense(5)(layers.Flatten()(build(x))))


def test_two_consumers_of_planes(compare, images):
    def build(x):
        a = conv(4, 3, padding="same")(x)
        return layers.Add()([conv(4, 3)(a), conv(4, (3, 3), activation=None)(a)])

    compare(functional(build), images((3, 9, 8, 4)))


@pytest.mark.parametrize("size", [(9, 8), (7, 7), (4, 4)])
def test_residual_on_planes(size, compare, images):
    def build(x):
        a = conv(4, 3, padding="same")(x)
        b = conv(4, 3, padding="same", activation=None)(a)
        c = layers.Add()([layers.ReLU()(layers.Add()([a, b])), x])
        return layers.MaxPool2D()(layers.Multiply()([c, layers.Conv2D(4, 1)(x)]))

    compare(functional(build, (*size, 4)), images((3, *size, 4)))


def test_a_number_an_image_scales_planes(compare, images):
    def build(x):
        a = conv(4, 3, padding="same")(x)
        scale = layers.GlobalAveragePooling2D(keepdims=True)(a)
        return layers.Multiply()([a, layers.Conv2D(4, 1)(scale)])

    compare(functional(build), images((3, 9, 8, 4)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_image(value, compare, network):
    model = network(conv(4, 3), conv(6, 3), layers.MaxPool2D(), shape=(10, 10, 1))
    compare(model, np.full((4, 10, 10, 1), value, np.float32))
