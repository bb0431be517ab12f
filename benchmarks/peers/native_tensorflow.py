"""TensorFlow itself: a `tf.function` over the Keras model."""

from __future__ import annotations

import numpy as np
from device.keras_model import keras_model, one_thread
from device.peer import Peer, Predict, Train
from device.work import Work


def train(work: Work) -> Train:
    one_thread()
    import tensorflow as tf

    model = keras_model(work)

    @tf.function(
        input_signature=(
            tf.TensorSpec(work.x.shape[1:]),
            tf.TensorSpec(work.y.shape[1:], tf.int32),
        )
    )
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x))
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(work.learning_rate * gradient)
        return loss

    return lambda x, y: float(step(tf.constant(x), tf.constant(y)))


def predict(work: Work, examples: int) -> Predict:
    one_thread()
    import tensorflow as tf

    model = keras_model(work)
    infer = tf.function(
        lambda x: tf.nn.softmax(model(x)),
        input_signature=[tf.TensorSpec([examples, *work.x.shape[2:]])],
    )

    def call(x: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = infer(tf.constant(x)).numpy()
        return probabilities

    return call


PEER = Peer(
    "native TensorFlow",
    ("tensorflow",),
    "pip install tensorflow==2.14.1",
    train,
    predict,
)
