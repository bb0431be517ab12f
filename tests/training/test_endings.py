"""A loss squashes logits, and never probabilities."""

from __future__ import annotations

import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.endings import ends_in_sigmoid, ends_in_softmax  # noqa: E402

LAYERS = tf.keras.layers


def model_of(shape, *parts) -> tf.keras.Model:
    return tf.keras.Sequential([LAYERS.Input(shape), *parts])


def nested(*parts) -> tf.keras.Model:
    x = LAYERS.Input((4,))
    return tf.keras.Model(x, model_of((4,), *parts)(x))


def ensemble(activation) -> tf.keras.Model:
    x = LAYERS.Input((4,))
    votes = [LAYERS.Dense(3, activation)(x), LAYERS.Dense(3, "softmax")(x)]
    return tf.keras.Model(x, LAYERS.Average()(votes))


def applied(function, units: int = 3) -> tf.keras.Model:
    x = LAYERS.Input((4,))
    return tf.keras.Model(x, function(LAYERS.Dense(units)(x)))


class Gate(LAYERS.Layer):
    """A layer with weights that does not say how it ends."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", (shape[-1], 3))

    def call(self, x):
        return tf.nn.softmax(tf.matmul(x, self.kernel))


def shares(x):
    positive = tf.nn.softplus(x)
    return positive / tf.reduce_sum(positive, axis=-1, keepdims=True)


SOFTMAX = {
    "activation": lambda: model_of((4,), LAYERS.Dense(3, "softmax")),
    "layer": lambda: model_of((4,), LAYERS.Dense(3), LAYERS.Softmax()),
    "Activation": lambda: model_of((4,), LAYERS.Dense(3), LAYERS.Activation("softmax")),
    "nested": lambda: nested(LAYERS.Dense(3, "softmax")),
    "tf.nn.softmax": lambda: model_of((4,), LAYERS.Dense(3, tf.nn.softmax)),
    "lambda": lambda: model_of((4,), LAYERS.Dense(3, lambda z: tf.nn.softmax(z))),
    "op": lambda: applied(tf.nn.softmax),
    "Lambda": lambda: applied(LAYERS.Lambda(shares)),
    "pooled": lambda: model_of(
        (6, 6, 2), LAYERS.Conv2D(3, 3, activation="softmax"), LAYERS.GlobalAvgPool2D()
    ),
    "TimeDistributed": lambda: model_of(
        (5, 4), LAYERS.TimeDistributed(LAYERS.Dense(3, "softmax"))
    ),
    "Reshape": lambda: model_of(
        (1, 1, 4), LAYERS.Dense(3, "softmax"), LAYERS.Reshape((3,))
    ),
    "Dropout": lambda: nested(LAYERS.Dense(3, tf.nn.softmax), LAYERS.Dropout(0.5)),
    "ensemble": lambda: ensemble("softmax"),
    "own layer": lambda: model_of((4,), Gate()),
}
LOGITS = {
    "linear": lambda: model_of((4,), LAYERS.Dense(3)),
    "sigmoid": lambda: model_of((4,), LAYERS.Dense(3, "sigmoid")),
    "in the middle": lambda: model_of(
        (4,), LAYERS.Dense(3, "softmax"), LAYERS.Dense(3)
    ),
    "flat": lambda: model_of((2, 4), LAYERS.Dense(3, "softmax"), LAYERS.Flatten()),
    "scaled": lambda: model_of(
        (4,), LAYERS.Dense(3, "softmax"), LAYERS.Rescaling(10.0)
    ),
    "log_softmax": lambda: model_of((4,), LAYERS.Dense(3, tf.nn.log_softmax)),
    "one of two": lambda: ensemble(None),
    "pooled": lambda: model_of(
        (6, 6, 2), LAYERS.Conv2D(3, 3), LAYERS.GlobalMaxPool2D()
    ),
    "recurrent": lambda: model_of((5, 2), LAYERS.LSTM(3)),
}
SIGMOID = {
    "activation": lambda: model_of((4,), LAYERS.Dense(1, "sigmoid")),
    "tf.nn.sigmoid": lambda: model_of((4,), LAYERS.Dense(1, tf.nn.sigmoid)),
    "Activation": lambda: model_of(
        (4,), LAYERS.Dense(1), LAYERS.Activation(tf.sigmoid)
    ),
    "hard_sigmoid": lambda: model_of((4,), LAYERS.Dense(1, "hard_sigmoid")),
    "op": lambda: applied(tf.sigmoid, 1),
    "pooled": lambda: model_of(
        (6, 6, 2), LAYERS.Conv2D(1, 3, activation="sigmoid"), LAYERS.GlobalMaxPool2D()
    ),
    "Reshape": lambda: model_of(
        (1, 4), LAYERS.Dense(1, "sigmoid"), LAYERS.Reshape((1,))
    ),
}
NUMBERS = {
    "linear": lambda: model_of((4,), LAYERS.Dense(1)),
    "relu": lambda: model_of((4,), LAYERS.Dense(1, "relu")),
    "tanh": lambda: model_of((4,), LAYERS.Dense(1, "tanh")),
    "in the middle": lambda: model_of(
        (4,), LAYERS.Dense(3, "sigmoid"), LAYERS.Dense(1)
    ),
    "pooled": lambda: model_of(
        (6, 6, 2), LAYERS.Conv2D(1, 3), LAYERS.GlobalAvgPool2D()
    ),
}


@pytest.mark.parametrize("name", SOFTMAX)
def test_probabilities_of_classes(name):
    assert ends_in_softmax(SOFTMAX[name]())


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_model_is_seen_alike_while_a_graph_is_traced(name):
    model, seen = SOFTMAX[name](), []
    trace = tf.function(lambda: seen.append(ends_in_softmax(model)), autograph=False)
    trace.get_concrete_function()
    assert seen == [True]


@pytest.mark.parametrize("name", LOGITS)
def test_logits_of_classes(name):
    assert not ends_in_softmax(LOGITS[name]())


@pytest.mark.parametrize("name", SIGMOID)
def test_probability_of_one_class(name):
    assert ends_in_sigmoid(SIGMOID[name]())


@pytest.mark.parametrize("name", NUMBERS)
def test_logit_of_one_class(name):
    assert not ends_in_sigmoid(NUMBERS[name]())
