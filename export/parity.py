"""Proof that the file computes what TensorFlow computes, step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.session import Session
from fedp.export.lowering.randomness import has_random_ops, random_uniform
from fedp.export.lowering.rewrite import rewrite
from fedp.export.signatures import train_graph

LOSS_TOLERANCE = 1e-4  # of the loss
WEIGHT_TOLERANCE = 1e-3  # of how far the steps moved a weight tensor
_ROUNDING = 1e-6  # float32 noise in tensors that hardly move


@dataclasses.dataclass(frozen=True)
class Parity:
    """Largest differences between TensorFlow and one interpreter over some steps.

    Attributes:
        interpreter: its kind.
        steps: training steps compared, the last one on a partial batch.
        loss: largest difference of a step's loss, relative to that loss.
        weights: largest absolute difference of each weight after the last step.
        moved: how far TensorFlow moved that weight, largest absolute entry.
    """

    interpreter: str
    steps: int
    loss: float
    weights: dict[str, float]
    moved: dict[str, float]

    @property
    def largest_weight_difference(self) -> float:
        """Over all weights, absolute."""
        return max(self.weights.values())

    @property
    def worst(self) -> str:
        """The weight whose difference is largest for what it moved."""
        return max(
            self.weights, key=lambda w: self.weights[w] / (self.moved[w] + _ROUNDING)
        )

    @property
    def passed(self) -> bool:
        """Whether loss and every weight are within tolerance."""
        return self.loss <= LOSS_TOLERANCE and all(
            difference <= WEIGHT_TOLERANCE * self.moved[name] + _ROUNDING
            for name, difference in self.weights.items()
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "steps": self.steps,
            "loss": self.loss,
            "weights": self.weights,
            "passed": self.passed,
        }


def check_parity(
    model: tf.keras.Model,
    loss: Callable[..., tf.Tensor],
    content: bytes,
    manifest: Manifest,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
) -> list[Parity]:
    """Trains Keras model and file side by side, on every interpreter installed.

    With dropout each step starts from TensorFlow's weights in a fresh interpreter,
    because only the first draw of its random numbers equals TensorFlow's.

    Raises:
        ExportError: a difference is beyond tolerance; names the weight.
    """
    batches = _batches(manifest, steps, seed)
    reference = _Reference(model, loss, learning_rate)
    initial = reference.weights
    trajectory = [reference.step(*batch) for batch in batches]
    results = []
    for kind in available_interpreters():
        session = Session.open(manifest, content, kind)
        before, losses, drift = initial, 0.0, np.zeros(len(initial))
        for batch, (expected, after) in zip(batches, trajectory, strict=True):
            if reference.random:
                session = Session.open(manifest, content, kind)
                session.restore(_named(before))
            found = session.train_step(*batch, learning_rate)
            losses = max(losses, abs(found - expected) / max(abs(expected), 1e-6))
            live = session.save()
            gaps = [np.abs(live[f"w{i}"] - w).max() for i, w in enumerate(after)]
            drift = np.maximum(drift, gaps) if reference.random else np.array(gaps)
            before = after
        names = [w.layer for w in manifest.weights]
        moved = [
            float(np.abs(a - b).max()) for a, b in zip(before, initial, strict=True)
        ]
        parity = Parity(
            kind,
            steps,
            losses,
            dict(zip(names, map(float, drift), strict=True)),
            dict(zip(names, moved, strict=True)),
        )
        if not parity.passed:
            raise ExportError(
                f"the file does not compute what TensorFlow computes on {kind}: after "
                f"{steps} steps the loss is off by {losses:.1e} (allowed "
                f"{LOSS_TOLERANCE:.0e}) and weight {parity.worst} by "
                f"{parity.weights[parity.worst]:.1e}: please report the model"
            )
        results.append(parity)
    return results


class _Reference:
    """The Keras model's own SGD steps, its weights held outside of the model."""

    def __init__(
        self, model: tf.keras.Model, loss: Callable[..., tf.Tensor], rate: float
    ):
        self._variables = model.trainable_variables
        self._frozen = {
            id(v.handle): tf.constant(v.numpy()) for v in model.non_trainable_variables
        }
        self._graph = train_graph(model, loss)
        self._rate = rate
        self.random = has_random_ops(self._graph)
        self.weights = [v.numpy() for v in self._variables]
        self._step: Any = None

    def step(self, *batch: np.ndarray) -> tuple[float, list[np.ndarray]]:
        """Loss before, and weights after, one step on (x, y, weight)."""
        x, y, weight = map(tf.constant, batch)
        weights = [tf.constant(w) for w in self.weights]
        if self._step is None or self.random:
            # A new function draws its random numbers from the start.
            function = tf.function(self._gradients, autograph=False)
            self._step = function.get_concrete_function(x, y, weight, weights)
        loss, *gradients = self._step(x, y, weight, weights)
        self.weights = [
            w - np.float32(self._rate) * g.numpy()
            for w, g in zip(self.weights, gradients, strict=True)
        ]
        return float(loss), self.weights

    def _gradients(self, x: Any, y: Any, weight: Any, weights: Any) -> Any:
        named = {id(v.handle): w for v, w in zip(self._variables, weights, strict=True)}
        # TensorFlow's own ops throughout; random ones get the file's seeds.
        table = {"RandomUniform": random_uniform}
        inputs = [x, y, weight]
        return rewrite(
            self._graph, inputs, named | self._frozen, table=table, strict=False
        )


def _named(weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"w{i}": w for i, w in enumerate(weights)}


def _batches(
    manifest: Manifest, steps: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Random inputs in 0..1 with flat patches, so that pooling meets ties."""
    random = np.random.default_rng(seed)
    size, classes = manifest.batch_size, len(manifest.classes)
    batches = []
    for step in range(steps):
        x = random.random((size, *manifest.input_shape), dtype=np.float32)
        x = np.where(x < 0.5, np.float32(0), x)
        y = random.integers(0, classes, size).astype(np.int32)
        weight = np.ones(size, np.float32)
        if step == steps - 1:
            weight[size // 3 :] = 0
        batches.append((x, y, weight))
    return batches
