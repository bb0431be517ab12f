"""Keras models by name, checked so that every later step can rely on them.

`emnist_cnn` is TFF's 2019 EMNIST baseline, as used by Jiang et al. 2019;
`shakespeare_lstm` is TFF's recurrent one, after McMahan et al. 2017.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fedp.device_runtime.errors import FedpError
from fedp.training.endings import ends_in_softmax

# Of (input_shape, classes), or (input_shape, classes, label_shape).
Builder = Callable[..., tf.keras.Model]
ExampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class ModelError(FedpError):
    """A model cannot be found, built, or trained on devices."""


def emnist_cnn(
    input_shape: tuple[int, ...], classes: int, dropout: bool = False
) -> tf.keras.Model:
    """Two 3x3 convolutions, 2x2 pooling, 128 hidden units; 1.2 million weights."""
    layers = tf.keras.layers
    # Images without a channel axis are greyscale.
    shape = (*input_shape, 1) if len(input_shape) == 2 else input_shape
    return tf.keras.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            *([layers.Dropout(0.25, name="dropout1")] if dropout else []),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="hidden"),
            *([layers.Dropout(0.5, name="dropout2")] if dropout else []),
            layers.Dense(classes, name="logits"),
        ]
    )


def emnist_cnn_dropout(input_shape: tuple[int, ...], classes: int) -> tf.keras.Model:
    """`emnist_cnn` with the baseline's dropout of 0.25 and 0.5."""
    return emnist_cnn(input_shape, classes, dropout=True)


def mlp(input_shape: tuple[int, ...], classes: int) -> tf.keras.Model:
    """Two hidden layers of 200 units (McMahan et al. 2017)."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Flatten(name="flatten"),
            layers.Dense(200, activation="relu", name="hidden1"),
            layers.Dense(200, activation="relu", name="hidden2"),
            layers.Dense(classes, name="logits"),
        ]
    )


def shakespeare_lstm(
    input_shape: tuple[int, ...], classes: int, label_shape: tuple[int, ...] = ()
) -> tf.keras.Model:
    """Embedding of 8, two LSTM layers of 256 units, a dense one; 0.8 million weights.

    Gives the next character at each step, or after the last one where an example has
    one label. Deviates from TFF in that padding is not masked: it only comes last, so
    that no step with a label can see it. The cells stand in plain loops, since Keras'
    LSTM layer would trace to functions that other graphs cannot take in.

    Args:
        input_shape: [L], int32 tokens.
        classes: how many tokens there are.
        label_shape: [L] or [].

    Raises:
        ValueError: other shapes.
    """
    if len(input_shape) != 1 or label_shape not in ((), input_shape):
        raise ValueError(
            "sequences of tokens are needed, with a label each or one at the end, not "
            f"examples of {list(input_shape)} with labels of {list(label_shape)}"
        )
    layers = tf.keras.layers

    def lstm(name: str, return_sequences: bool) -> tf.keras.layers.Layer:
        cell = layers.LSTMCell(256, kernel_initializer="he_normal", name="cell")
        return layers.RNN(cell, return_sequences=return_sequences, name=name)

    return tf.keras.Sequential(
        [
            layers.Input(input_shape, dtype="int32"),
            layers.Embedding(classes, 8, name="embedding"),
            lstm("lstm1", True),
            lstm("lstm2", bool(label_shape)),
            layers.Dense(classes, name="logits"),
        ]
    )


BUILDERS: dict[str, Builder] = {
    "emnist_cnn": emnist_cnn,
    "emnist_cnn_dropout": emnist_cnn_dropout,
    "mlp": mlp,
    "shakespeare_lstm": shakespeare_lstm,
}


def build_model(
    name: str,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int | None = None,
    label_shape: tuple[int, ...] = (),
) -> tf.keras.Model:
    """Builds and checks a model.

    Args:
        name: a key of BUILDERS, or "module:function" of the user's own; the function
            takes (input_shape, classes), and label_shape too if it has a parameter of
            that name, and returns a functional or Sequential model whose output is
            [None, *label_shape, classes]: logits, or a softmax.
        input_shape: one example's shape.
        classes: C.
        seed: fixes the initial weights; it reseeds Python's, NumPy's and TensorFlow's
            global generators, the only way into a user's initializers.
        label_shape: shape of one example's labels.

    Raises:
        ModelError: no such builder, it failed, or its model does not fit.
    """
    builder = BUILDERS[name] if name in BUILDERS else _import_builder(name)
    if seed is not None:
        tf.keras.utils.set_random_seed(seed)
    try:
        model = _call(builder, input_shape, classes, label_shape)
    except Exception as error:
        raise ModelError(
            f"model {name!r} cannot be built for input {list(input_shape)} and "
            f"{classes} classes: {' '.join(str(error).split())}"
        ) from error
    _check(model, name, input_shape, classes, label_shape)
    return model


def takes_tokens(model: tf.keras.Model) -> bool:
    """Whether the model's inputs are integers, which nothing may scale."""
    return bool(model.inputs[0].dtype.is_integer)


def loss_fn(model: tf.keras.Model) -> ExampleLoss:
    """Cross-entropy of each example: (y int32 [B], model's output [B, C]) -> [B].

    For sequences, y [B, L] and output [B, L, C], the mean over the labels that are not
    -1; 0 without any.
    """
    probabilities = ends_in_softmax(model)
    sequences = len(model.output_shape) > 2

    def loss(y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        # log(softmax(z)) differs from z by a constant a row, which the loss ignores.
        logits = tf.math.log(tf.maximum(outputs, 1e-7)) if probabilities else outputs
        if not sequences:
            return _cross_entropy(labels=y, logits=logits)
        # Out-of-range labels give NaN, which a product with 0 keeps.
        return _mean(_cross_entropy(labels=tf.maximum(y, 0), logits=logits), y)

    return loss


def accuracy_fn(model: tf.keras.Model) -> ExampleLoss:
    """Accuracy of each example, 0..1: (y int32 [B], output [B, C]) -> float32 [B].

    For sequences, y [B, L] and output [B, L, C], the share of the labels that are not
    -1; 0 without any.
    """
    sequences = len(model.output_shape) > 2

    def accuracy(y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        found = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        hits = tf.cast(tf.equal(found, y), tf.float32)
        return _mean(hits, y) if sequences else hits

    return accuracy


_cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits


def _mean(values: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean over the steps that have a label: [B, L] and [B, L] -> [B]."""
    steps = tf.range(1, tf.rank(y))
    labelled = tf.cast(tf.greater_equal(y, 0), tf.float32)
    total = tf.reduce_sum(values * labelled, steps)
    return tf.math.divide_no_nan(total, tf.reduce_sum(labelled, steps))


def _call(
    builder: Builder,
    input_shape: tuple[int, ...],
    classes: int,
    label_shape: tuple[int, ...],
) -> tf.keras.Model:
    try:
        takes_shape = "label_shape" in inspect.signature(builder).parameters
    except (TypeError, ValueError):  # some callables have no signature
        takes_shape = False
    if takes_shape:
        return builder(input_shape, classes, label_shape=label_shape)
    return builder(input_shape, classes)


def _import_builder(name: str) -> Builder:
    module, _, function = name.partition(":")
    if not module or not function:
        raise ModelError(
            f"model {name!r} is unknown; allowed are {', '.join(BUILDERS)}, or "
            "module:function of your own"
        )
    sys.path.insert(0, os.getcwd())
    try:
        builder: Any = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise ModelError(
            f"model {name!r} cannot be imported from {os.getcwd()}: {error}"
        ) from error
    finally:
        sys.path.remove(os.getcwd())
    if not callable(builder):
        raise ModelError(f"model {name!r} is no function: name one that builds a model")
    return builder  # type: ignore[no-any-return]


def _check(
    model: Any,
    name: str,
    input_shape: tuple[int, ...],
    classes: int,
    label_shape: tuple[int, ...],
) -> None:
    """Raises ModelError unless the model can be trained here and exported."""
    if not isinstance(model, tf.keras.Model) or not getattr(model, "inputs", None):
        raise ModelError(
            f"model {name!r} gave {type(model).__name__}; a functional or Sequential "
            "Keras model with an Input is needed"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"model {name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; one of each is needed"
        )
    # One channel may be left out of the data, as devices allow too.
    found = tuple(model.input_shape[1:])
    if found not in (tuple(input_shape), (*input_shape, 1)):
        raise ModelError(
            f"model {name!r} takes examples of {list(found)}, the data has "
            f"{list(input_shape)}: build it for the input_shape it is given"
        )
    needed = (None, *label_shape, classes)
    if tuple(model.output_shape) != needed:
        raise ModelError(
            f"model {name!r} gives {list(model.output_shape)}; {list(needed)} is "
            "needed, one column a class"
        )
    frozen = [w.name for w in model.non_trainable_weights]
    if frozen or not model.trainable_weights:
        raise ModelError(
            f"model {name!r} has non-trainable weights {frozen} or none to train; "
            "clients send back trainable ones alone: for BatchNormalization use "
            "LayerNormalization or GroupNormalization"
        )
    other = [w.name for w in model.weights if w.dtype != tf.float32]
    if other:
        raise ModelError(f"model {name!r} has weights {other} that are not float32")
