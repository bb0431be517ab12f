"""The model of all people: 16 features, two hidden layers, a logit an activity."""

import tensorflow as tf


def mlp(input_shape: tuple[int, ...], classes: int) -> tf.keras.Model:
    """What `fedp train --model model:mlp` calls."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Dense(64, activation="relu", name="hidden1"),
            layers.Dense(32, activation="relu", name="hidden2"),
            layers.Dense(classes, name="logits"),
        ]
    )
