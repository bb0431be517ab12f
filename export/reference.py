"""What TensorFlow computes: the Keras model's own training steps, for comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fedp.device_runtime.contract import Manifest
from fedp.export.losses import Loss
from fedp.export.lowering.randomness import SEEDED, has_random_ops
from fedp.export.lowering.rewrite import rewrite
from fedp.export.signatures import (
    answer_graph,
    evaluate_graph,
    features_graph,
    train_graph,
)
from fedp.export.trainable import Parts
from fedp.training.client_optimizers import optimizer_of

# x [n,...] as the model takes it, y [n,...], weight [n].
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class State(NamedTuple):
    """Weights, and what the optimizer remembers, in the manifest's order."""

    weights: list[np.ndarray]
    slots: list[np.ndarray]


class Step(NamedTuple):
    """A step's loss before it, and the state after it."""

    loss: float
    after: State


class Answers(NamedTuple):
    """Loss [n] and correctness [n] of examples, and what is answered, [n, ..., C]."""

    loss: np.ndarray
    correct: np.ndarray
    output: np.ndarray


@dataclasses.dataclass
class Reference:
    """The Keras model's steps with TensorFlow's fused optimizers.

    Attributes:
        parts: the model; its variables stay as they are.
        loss: of one example.
        learning_rate: of every step.
        optimizer: name of the client optimizer.
        settings: its constants.
    """

    parts: Parts
    loss: Loss
    learning_rate: float
    optimizer: str
    settings: dict[str, float]

    def __post_init__(self) -> None:
        """Traces what all steps share."""
        self._graph = train_graph(self.parts, self.loss)
        self._features = features_graph(self.parts) if self.parts.cut else None
        self._frozen = {id(v.handle): tf.constant(v.numpy()) for v in self.parts.frozen}
        self.random = has_random_ops(self._graph)
        self._step: Any = None
        self._answers: Any = None

    def trajectory(self, batches: Sequence[Batch]) -> list[Step]:
        """The start, and what is after each batch."""
        factor = self.settings.get("momentum", 0.0)
        rule = optimizer_of(self.optimizer, self.learning_rate, factor)
        variables = [tf.Variable(v.numpy()) for v in self.parts.trained]
        slots = rule.slots(variables)
        steps = [Step(0.0, _state(variables, slots))]
        for batch in batches:
            loss, *gradients = self._gradients(batch, variables)
            rule.step(variables, gradients, slots)
            steps.append(Step(float(loss), _state(variables, slots)))
        return steps

    def answers(self, state: State, batch: Batch) -> Answers:
        """What the model says of a batch with these weights, outside of training."""
        x, y, _ = map(tf.constant, batch)
        if self._features is not None:
            (x,) = self._features(x)
        values = [tf.constant(w) for w in state.weights]
        if self._answers is None:
            function = tf.function(self._spelled_answers, autograph=False)
            self._answers = function.get_concrete_function(x, y, values)
        return Answers(*(t.numpy() for t in self._answers(x, y, values)))

    def _spelled_answers(self, x: Any, y: Any, values: Any) -> Any:
        named = self._named(values)
        evaluate = evaluate_graph(self.parts, self.loss)
        answer = answer_graph(self.parts, self.loss)
        loss, correct = rewrite(evaluate, [x, y], named, table={}, strict=False)
        return loss, correct, rewrite(answer, [x], named, table={}, strict=False)[0]

    def _gradients(self, batch: Batch, variables: Sequence[tf.Variable]) -> Any:
        x, y, weight = map(tf.constant, batch)
        if self._features is not None:
            (x,) = self._features(x)
        values = [tf.constant(v.numpy()) for v in variables]
        if self._step is None or self.random:
            # A new function draws its random numbers from the start.
            function = tf.function(self._spelled, autograph=False)
            self._step = function.get_concrete_function(x, y, weight, values)
        return self._step(x, y, weight, values)

    def _spelled(self, x: Any, y: Any, weight: Any, values: Any) -> Any:
        # TensorFlow's own ops throughout; random ones get the file's seeds.
        inputs = [x, y, weight, tf.ones([1])]
        return rewrite(
            self._graph, inputs, self._named(values), table=SEEDED, strict=False
        )

    def _named(self, values: Any) -> dict[int, Any]:
        """What the model's variables stand for, by `id` of their handles."""
        trained = zip(self.parts.trained, values, strict=True)
        return {id(v.handle): value for v, value in trained} | self._frozen


def _state(weights: Sequence[tf.Variable], slots: Sequence[tf.Variable]) -> State:
    # TensorFlow counts Adam's steps in a scalar, devices in a tensor of one.
    remembered = [np.atleast_1d(slot.numpy()) for slot in slots]
    return State([weight.numpy() for weight in weights], remembered)


def random_batches(manifest: Manifest, steps: int, seed: int) -> list[Batch]:
    """Inputs in 0..1 with flat patches, so that pooling meets ties; or random tokens.

    Inputs are 256ths, which a certificate keeps in a byte. The last batch is a partial
    one.
    """
    random = np.random.default_rng(seed)
    size, labels = manifest.batch_size, manifest.labels
    batches = []
    x: np.ndarray
    y: np.ndarray
    for step in range(steps):
        shape = (size, *manifest.input_shape)
        if manifest.input_dtype == "int32":
            # Where nothing limits tokens, 0 and 1 are those that any model knows.
            x = random.integers(0, manifest.tokens or 2, shape).astype(np.int32)
        else:
            x = random.integers(0, 256, shape).astype(np.float32) / np.float32(256)
            x = np.where(x < 0.5, np.float32(0), x)
        if labels.are_classes:
            classes = len(manifest.classes)
            y = random.integers(0, classes, (size, *labels.shape)).astype(np.int32)
        else:
            y = random.random((size, *labels.shape), dtype=np.float32)
        weight = np.ones(size, np.float32)
        if step == steps - 1:
            weight[size // 3 :] = 0
        batches.append((x, y, weight))
    return batches
