"""Pools of every geometry against TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

layers = tf.keras.layers
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.sampled_from(["valid", "same"])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    pool=pairs,
    stride=pairs,
    padding=paddings,
    window=st.sampled_from([1, 3]),
    seed=st.integers(0, 5),
)
def test_max_pooling_sends_ties_to_the_first_maximum(
    pool, stride, padding, window, seed, compare, network, images
):
    before = layers.Conv2D(
        4, window, kernel_initializer="ones", activation="relu", padding="same"
    )
    model = network(before, layers.MaxPool2D(pool, stride, padding))
    assert "MaxPoolGrad" not in compare(model, images(seed=seed))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(pool=pairs, stride=pairs, padding=paddings, window=st.sampled_from([1, 3]))
def test_average_pooling(pool, stride, padding, window, compare, network, images):
    before = layers.Conv2D(4, window, activation="relu")
    model = network(before, layers.AvgPool2D(pool, stride, padding))
    assert "AvgPoolGrad" not in compare(model, images())


def test_constant_image_is_all_ties(compare, network):
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.MaxPool2D())
    compare(model, np.ones((4, 9, 8, 3), np.float32))


def test_activation_that_is_pooled_and_used(compare, images):
    tf.keras.utils.set_random_seed(0)
    x = layers.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    both = [layers.MaxPool2D()(a), layers.AvgPool2D()(a)]
    y = layers.Dense(5)(layers.Flatten()(layers.Add()(both)))
    compare(tf.keras.Model(x, y), images((4, 8, 8, 3)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    "pool", [layers.GlobalMaxPool2D, layers.GlobalAveragePooling2D]
)
def test_global(pool, keepdims, compare, network, images):
    compare(network(layers.Conv2D(4, 3), pool(keepdims=keepdims)), images())


@pytest.mark.parametrize(
    "pool",
    [
        layers.MaxPool1D(),
        layers.MaxPool1D(3, 2, "same"),
        layers.AvgPool1D(3, 1),
        layers.GlobalMaxPool1D(),
        layers.GlobalAveragePooling1D(),
    ],
    ids=lambda pool: pool.name,
)
def test_one_dimension(pool, compare, network, images):
    model = network(layers.Conv1D(4, 3, activation="relu"), pool, shape=(13, 3))
    compare(model, images((3, 13, 3)))
