"""How many tokens a device may hand to a model."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.session import Session
from fedp.export.exporter import Target, export_model
from fedp.export.token_count import token_count

layers = tf.keras.layers


def with_positions(positions: int) -> tf.keras.Model:
    """Tokens 0..20 at `positions` places."""
    x = layers.Input((positions,), dtype="int32")
    places = layers.Embedding(positions, 4)(tf.range(positions))
    y = layers.Embedding(21, 4)(x) + places
    return tf.keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def sliced() -> tf.keras.Model:
    x = layers.Input((4,), dtype="int32")
    word, place = layers.Embedding(21, 4)(x[:, 1:]), layers.Embedding(5, 4)(x[:, :1])
    y = layers.Concatenate(axis=1)([word, place])
    return tf.keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def nested() -> tf.keras.Model:
    inner = tf.keras.Sequential(
        [layers.Input((4,), dtype="int32"), layers.Embedding(9, 4), layers.Flatten()]
    )
    return tf.keras.Sequential([inner.inputs[0], inner, layers.Dense(3)])


def twice() -> tf.keras.Model:
    x = layers.Input((4,), dtype="int32")
    y = layers.Embedding(21, 4)(x) + layers.Embedding(9, 4)(x)
    return tf.keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def counts() -> tf.keras.Model:
    x = layers.Input((4,), dtype="int32")
    return tf.keras.Model(x, layers.Dense(3)(tf.cast(x, tf.float32) / 9))


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: with_positions(4), 21),
        (lambda: with_positions(30), 21),
        (sliced, 21),
        (nested, 9),
        (twice, 9),
        (counts, 0),
        (lambda: tf.keras.Sequential([layers.Input((4,)), layers.Dense(3)]), 0),
    ],
)
def test_rows_of_what_looks_the_input_up(make, count):
    assert token_count(make()) == count


def export(model: tf.keras.Model):
    classes, target = ["a", "b", "c"], Target(batch_size=8)
    return export_model(
        model, name="test", classes=classes, target=target, parity_steps=2
    )


@pytest.mark.parametrize(
    ("make", "top"), [(lambda: with_positions(4), 20), (counts, 9)]
)
def test_devices_take_every_token(make, top):
    model = make()
    done = export(model)
    x = np.full((2, 4), top, np.int32)
    found = Session.open(done.manifest, done.content).infer(x)
    np.testing.assert_allclose(found, tf.nn.softmax(model(x)), atol=1e-6)
