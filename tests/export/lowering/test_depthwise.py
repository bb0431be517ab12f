"""Depthwise and separable convolutions against TensorFlow's own."""

from __future__ import annotations

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

layers = tf.keras.layers
DEPTHWISE = {
    "DepthwiseConv2dNative",
    "DepthwiseConv2dNativeBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter",
}


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    times=st.integers(1, 2),
    padding=st.sampled_from(["valid", "same"]),
    after=st.sampled_from([[], [layers.MaxPool2D(2, padding="same")]]),
)
def test_depthwise(window, stride, times, padding, after, compare, network, images):
    depthwise = layers.DepthwiseConv2D(
        window, stride, padding, depth_multiplier=times, activation="relu"
    )
    first = layers.Conv2D(4, 3, padding="same", activation="relu")
    assert not compare(network(first, depthwise, *after), images()) & DEPTHWISE


def test_separable(compare, network, images):
    model = network(
        layers.SeparableConv2D(4, 3, activation="relu"),
        layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2),
    )
    compare(model, images())


def test_separable_in_one_dimension(compare, network, images):
    model = network(layers.Conv1D(4, 1), layers.SeparableConv1D(6, 3), shape=(11, 3))
    compare(model, images((3, 11, 3)))


def test_dilated(compare, network, images):
    model = network(
        layers.Conv2D(4, 1), layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")
    )
    compare(model, images())
