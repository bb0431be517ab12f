"""A small recurrent model: the next character at each of 80 steps."""

import tensorflow as tf


def lstm(
    input_shape: tuple[int, ...], classes: int, label_shape: tuple[int, ...] = ()
) -> tf.keras.Model:
    """What `fedp train --model model:lstm` calls.

    A cell in `RNN`, not Keras' `LSTM`: that one traces to functions which the rounds'
    graph cannot take in.
    """
    layers = tf.keras.layers
    cell = layers.LSTMCell(64, name="cell")
    return tf.keras.Sequential(
        [
            layers.Input(input_shape, dtype="int32"),
            layers.Embedding(classes, 16, name="embedding"),
            layers.RNN(cell, return_sequences=bool(label_shape), name="lstm"),
            layers.Dense(classes, name="logits"),
        ]
    )
