"""Whether a model's output is probabilities already, which no loss may squash again.

Seen from the layers at the end. Those without weights are told by what they make of
random numbers, since the same function goes by many names; where the layers leave it
open, the model's own output tells.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Whether numbers [n, ..., C] can be what the ending would give.
Fits = Callable[[np.ndarray], bool]

_EXAMPLES = 16
_TOLERANCE = 1e-4  # of a sum of probabilities


def ends_in_softmax(model: tf.keras.Model) -> bool:
    """Whether the model gives probabilities of its classes instead of logits."""
    seen = _seen(model.outputs[0], _are_shares)
    if seen is None:
        output = _output(model)
        return output is not None and _are_shares(output)
    return seen


def ends_in_sigmoid(model: tf.keras.Model) -> bool:
    """Whether the model gives probabilities of one class each instead of logits."""
    return bool(_seen(model.outputs[0], _are_probabilities))


def _are_probabilities(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def _add_up(values: np.ndarray) -> bool:
    return bool((np.abs(values.sum(axis=-1) - 1) <= _TOLERANCE).all())


def _are_shares(values: np.ndarray) -> bool:
    return _are_probabilities(values) and _add_up(values)


def _seen(tensor: Any, fits: Fits) -> bool | None:
    """What the layers say of a Keras tensor; None where they leave it open."""
    node = tensor.node
    layer = node.layer
    while isinstance(layer, tf.keras.layers.TimeDistributed):
        layer = layer.layer
    if isinstance(layer, tf.keras.Model):
        return _seen(layer.outputs[0], fits)
    if isinstance(layer, tf.keras.layers.Softmax) and fits is _are_shares:
        return True
    if not node.keras_inputs:
        return None
    if layer.weights:
        return _seen_of_activation(layer, tensor, fits)
    return _seen_of_function(node, fits)


def _seen_of_activation(layer: Any, tensor: Any, fits: Fits) -> bool | None:
    kinds = tf.keras.layers
    hidden = isinstance(layer, kinds.RNN) and not isinstance(layer, kinds.SimpleRNN)
    activation = getattr(layer, "activation", None)
    if hidden or not callable(activation):
        return None
    numbers = _any_numbers(tensor, 0)
    made = _tried(lambda: activation(tf.convert_to_tensor(numbers)))
    if made is None or (not fits(made) and not _is_of_keras(layer)):
        return None
    return fits(made)


def _seen_of_function(node: Any, fits: Fits) -> bool | None:
    """What a layer without weights makes of any numbers, and of what fits."""
    if not all(tensor.dtype.is_floating for tensor in node.keras_inputs):
        return None
    numbers = [_any_numbers(t, i) for i, t in enumerate(node.keras_inputs)]
    made = _tried_layer(node, numbers)
    if made is None:
        return None
    if fits(made):
        return True
    if fits is _are_shares and _add_up(made):
        return None  # It normalizes: what comes before it need not.
    fitting = [_softmax(v) if fits is _are_shares else _sigmoid(v) for v in numbers]
    kept = _tried_layer(node, fitting)
    if kept is None:
        return None
    if not fits(kept):
        return False
    before = [_seen(tensor, fits) for tensor in node.keras_inputs]
    if False in before:
        return False
    return None if None in before else True


def _tried_layer(node: Any, values: Sequence[np.ndarray]) -> np.ndarray | None:
    def call() -> Any:
        uses: dict[str, list[Any]] = collections.defaultdict(list)
        for tensor, value in zip(node.keras_inputs, values, strict=True):
            uses[str(id(tensor))].append(tf.convert_to_tensor(value))
        args, kwargs = node.map_arguments(uses)
        if node.layer._call_spec.expects_training_arg:
            kwargs = {**kwargs, "training": False}
        return node.layer(*args, **kwargs)

    return _tried(call)


def _tried(function: Callable[[], Any]) -> np.ndarray | None:
    """What a function gives; None where it cannot be called by itself."""
    try:
        # Training builds its models in graphs, in which nothing has a value.
        with tf.init_scope():
            return np.asarray(function())
    except Exception:  # Users' layers raise anything.
        return None


def _output(model: tf.keras.Model) -> np.ndarray | None:
    spec = model.inputs[0]
    shape = (_EXAMPLES, *(n or 3 for n in spec.shape[1:]))
    random = np.random.default_rng(0)
    x: np.ndarray = random.random(shape)
    if spec.dtype.is_integer:
        x = random.integers(0, 2, shape)  # The tokens that any model knows.
    x = x.astype(spec.dtype.as_numpy_dtype)
    return _tried(lambda: model(tf.convert_to_tensor(x), training=False))


def _any_numbers(tensor: Any, seed: int) -> np.ndarray:
    """Random numbers of a Keras tensor's shape, on both sides of 0 and 1."""
    shape = (_EXAMPLES, *(n or 3 for n in tensor.shape[1:]))
    return np.random.default_rng(seed).normal(0, 6, shape).astype(np.float32)


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras"
