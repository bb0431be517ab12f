"""SGD, momentum and Adam over a model's variables, each one fused operator a weight.

The formulas and the epsilon are Keras' and TFF's, so that Adam on a server and Adam on
a client are the same algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from fedp.training.configuration import TrainingConfig

Variables = Sequence[tf.Variable]


class ClientOptimizer(NamedTuple):
    """A rule w <- step(w, gradient), and what it remembers between steps.

    Attributes:
        learning_rate: beta.
        slots: weights -> variables of what it remembers, owned by the caller.
        start: (slots): forgets everything, as each adaptation starts.
        step: (weights, gradients, slots): one step in place.
    """

    learning_rate: float
    slots: Callable[[Variables], list[tf.Variable]]
    start: Callable[[Variables], None]
    step: Callable[[Variables, Sequence[tf.Tensor], Variables], None]


def sgd(learning_rate: float) -> ClientOptimizer:
    """The paper's client optimizer: w <- w - beta * gradient."""

    def step(weights: Variables, gradients: Sequence[tf.Tensor], _: Variables) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(
                var=weight.handle, alpha=learning_rate, delta=gradient
            )

    return ClientOptimizer(learning_rate, lambda weights: [], _zero, step)


def momentum(learning_rate: float, factor: float = 0.9) -> ClientOptimizer:
    """Polyak's momentum: m <- factor * m + gradient; w <- w - beta * m."""

    def step(
        weights: Variables, gradients: Sequence[tf.Tensor], slots: Variables
    ) -> None:
        for weight, gradient, m in zip(weights, gradients, slots, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=m.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=factor,
            )

    return ClientOptimizer(learning_rate, _one_slot_each, _zero, step)


def adam(learning_rate: float = 1e-3) -> ClientOptimizer:
    """Kingma and Ba 2015 with beta 0.9 and 0.999, epsilon 1e-7."""
    beta1, beta2, epsilon = 0.9, 0.999, 1e-7

    def slots(weights: Variables) -> list[tf.Variable]:
        taken = tf.Variable(0.0, trainable=False)
        return [taken, *_one_slot_each(weights), *_one_slot_each(weights)]

    def step(
        weights: Variables, gradients: Sequence[tf.Tensor], slots: Variables
    ) -> None:
        taken, moments = slots[0], slots[1:]
        first, second = moments[: len(weights)], moments[len(weights) :]
        number = taken.assign_add(1.0)
        for weight, gradient, m, v in zip(
            weights, gradients, first, second, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.pow(beta1, number),
                beta2_power=tf.pow(beta2, number),
                lr=learning_rate,
                beta1=beta1,
                beta2=beta2,
                epsilon=epsilon,
                grad=gradient,
            )

    return ClientOptimizer(learning_rate, slots, _zero, step)


def client_optimizer_of(config: TrainingConfig) -> ClientOptimizer:
    """The client optimizer that a run names."""
    return optimizer_of(
        config.client_optimizer, config.client_learning_rate, config.client_momentum
    )


def optimizer_of(name: str, learning_rate: float, factor: float) -> ClientOptimizer:
    """One of `configuration.OPTIMIZERS` by its name."""
    if name == "adam":
        return adam(learning_rate)
    if name == "momentum":
        return momentum(learning_rate, factor)
    return sgd(learning_rate)


def _one_slot_each(weights: Variables) -> list[tf.Variable]:
    return [tf.Variable(tf.zeros(w.shape), trainable=False) for w in weights]


def _zero(slots: Variables) -> None:
    for slot in slots:
        slot.assign(tf.zeros(slot.shape))
