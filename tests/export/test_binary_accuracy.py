"""Which answers of a binary model are correct: the threshold fits its last layer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.contract import BINARY
from fedp.export.losses import loss_for

layers = tf.keras.layers


@pytest.mark.parametrize(
    ("activation", "outputs"),
    [
        ("sigmoid", [0.1, 0.4, 0.6, 0.9]),  # probabilities: 1 above a half
        (None, [-2.0, -0.1, 0.1, 0.4]),  # logits: 1 above zero
    ],
)
def test_the_last_two_of_four_are_taken_for_ones(activation, outputs):
    model = tf.keras.Sequential([layers.Input((3,)), layers.Dense(1, activation)])
    correct = loss_for(model, BINARY).correct
    column = np.array(outputs, np.float32)[:, None]
    for y, hits in (
        ([0, 0, 1, 1], [1, 1, 1, 1]),
        ([1, 1, 0, 0], [0, 0, 0, 0]),
        ([0, 1, 0, 1], [1, 0, 0, 1]),
    ):
        found = correct(tf.constant(y, tf.int32), tf.constant(column))
        assert found.dtype == tf.float32 and found.numpy().tolist() == hits
