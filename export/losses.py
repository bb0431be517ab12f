"""Losses of one example, and what each makes of a model's output.

The formulas are those that the model was trained with (`fedp.training.models`) and
Keras' for the others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.errors import ExportError
from fedp.training.endings import ends_in_sigmoid, ends_in_softmax
from fedp.training.models import accuracy_fn, loss_fn

# (y, output) -> float32 [n].
OfExample = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

_CLIP = 1e-7  # as Keras keeps probabilities from 0 and 1


@dataclasses.dataclass(frozen=True)
class Loss:
    """One of `contract.LOSSES` for a model.

    Attributes:
        labels: what `y` holds.
        classes: C, the length of the last axis of `answer`.
        of_example: loss of each example.
        correct: share of each example's labels that are hit, 0..1; zeros where there
            is no such thing.
        answer: the model's output as devices give it: probabilities, or raw numbers.
    """

    labels: contract.Labels
    classes: int
    of_example: OfExample
    correct: OfExample
    answer: Callable[[tf.Tensor], tf.Tensor]


def loss_for(model: tf.keras.Model, name: str) -> Loss:
    """The loss by its name.

    Raises:
        ExportError: no such loss, or the model's output does not fit it.
    """
    if name not in contract.LOSSES:
        raise ExportError(
            f"loss {name!r} is unknown; allowed are {', '.join(contract.LOSSES)}"
        )
    shape = tuple(model.output_shape[1:])
    makers = {contract.CROSS_ENTROPY: _cross_entropy, contract.BINARY: _binary}
    if None in shape or not shape:
        raise ExportError(
            f"the model gives {list(model.output_shape)}; all dimensions but the first "
            "must be known: give its Input a full shape"
        )
    return makers.get(name, _squared)(model, shape)


def _cross_entropy(model: tf.keras.Model, shape: tuple[int, ...]) -> Loss:
    probabilities = ends_in_softmax(model)

    def answer(output: tf.Tensor) -> tf.Tensor:
        return tf.identity(output) if probabilities else tf.nn.softmax(output)

    labels = contract.Labels(contract.CROSS_ENTROPY, shape[:-1])
    return Loss(labels, shape[-1], loss_fn(model), accuracy_fn(model), answer)


def _binary(model: tf.keras.Model, shape: tuple[int, ...]) -> Loss:
    if shape != (1,):
        raise ExportError(
            f"the model gives {[None, *shape]}; {contract.BINARY} needs one number an "
            f"example, [None, 1]: end in Dense(1), or use {contract.CROSS_ENTROPY}"
        )
    probabilities = ends_in_sigmoid(model)

    def of_example(y: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        value, target = output[:, 0], tf.cast(y, tf.float32)
        if not probabilities:
            return tf.nn.sigmoid_cross_entropy_with_logits(target, value)
        p = tf.clip_by_value(value, _CLIP, 1 - _CLIP)
        return -target * tf.math.log(p) - (1 - target) * tf.math.log(1 - p)

    def answer(output: tf.Tensor) -> tf.Tensor:
        p = output if probabilities else tf.sigmoid(output)
        return tf.concat([1.0 - p, p], axis=1)

    def correct(y: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        above = tf.greater(output[:, 0], 0.5 if probabilities else 0.0)
        return tf.cast(tf.equal(tf.cast(above, tf.int32), y), tf.float32)

    labels = contract.Labels(contract.BINARY, ())
    return Loss(labels, 2, of_example, correct, answer)


def _squared(model: tf.keras.Model, shape: tuple[int, ...]) -> Loss:
    axes = list(range(1, 1 + len(shape)))

    def of_example(y: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        # A constant in place of reduce_mean, whose gradient computes with shapes.
        squares = tf.square(output - y)
        return tf.reduce_sum(squares, axis=axes) / math.prod(shape)

    def correct(y: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        return 0.0 * tf.reduce_sum(output, axis=axes)

    labels = contract.Labels(contract.SQUARED, shape)
    return Loss(labels, shape[-1], of_example, correct, tf.identity)
