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
TYPICAL_TOLERANCE = 1e-4  # of how far a step moves a weight tensor, median over steps
WORST_TOLERANCE = 2e-2  # the same in any one step: a near-tie may fall the other way
_ROUNDING = 1e-6  # float32 noise in tensors that hardly move


@dataclasses.dataclass(frozen=True)
class WeightParity:
    """How one weight differs between TensorFlow and the file.

    Attributes:
        typical: largest absolute difference of an entry after one step from the same
            weights, median over the steps.
        worst: the largest of them. Where two pooled values or a value and zero differ
            by float32 rounding alone, a gradient may go to the other one.
        drift: difference after all steps without going back to TensorFlow's weights;
            None with dropout.
        moved: how far one step moves an entry, the largest, median over the steps.
    """

    typical: float
    worst: float
    drift: float | None
    moved: float

    @property
    def passed(self) -> bool:
        """Whether the differences are those of float32 arithmetic."""
        return (
            self.typical <= TYPICAL_TOLERANCE * self.moved + _ROUNDING
            and self.worst <= WORST_TOLERANCE * self.moved + _ROUNDING
        )


@dataclasses.dataclass(frozen=True)
class Parity:
    """Differences between TensorFlow and one interpreter over some training steps.

    Attributes:
        interpreter: its kind.
        steps: training steps compared, the last one on a partial batch.
        loss: largest difference of a step's loss, relative to that loss.
        weights: of each weight, by its Keras name.
    """

    interpreter: str
    steps: int
    loss: float
    weights: dict[str, WeightParity]

    @property
    def failed(self) -> list[str]:
        """What is beyond tolerance: "loss", or names of weights."""
        loss = [] if self.loss <= LOSS_TOLERANCE else ["loss"]
        return loss + [name for name, w in self.weights.items() if not w.passed]

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return dataclasses.asdict(self)


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

    Raises:
        ExportError: a difference is beyond tolerance; names the weights.
        MissingDependencyError: no interpreter is installed.
    """
    batches = _batches(manifest, steps, seed)
    reference = _Reference(model, loss, learning_rate)
    trajectory = [(0.0, reference.weights)]
    trajectory += [reference.step(*batch) for batch in batches]
    results = []
    # Without any interpreter, loading one says what to install.
    for kind in available_interpreters() or (None,):
        device = _Device(manifest, content, kind, learning_rate, reference.random)
        parity = _compare(device, batches, trajectory)
        if parity.failed:
            raise ExportError(
                "the file does not compute what TensorFlow computes on "
                f"{device.kind}: beyond tolerance are {', '.join(parity.failed)} (a "
                f"step's loss is off by up to {parity.loss:.1e}): please report the "
                "model"
            )
        results.append(parity)
    return results


Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
Step = tuple[float, list[np.ndarray]]  # loss before it, weights after it


class _Device:
    """The file on one interpreter."""

    def __init__(
        self,
        manifest: Manifest,
        content: bytes,
        kind: str | None,
        rate: float,
        random: bool,
    ):
        self.manifest, self.random = manifest, random
        self._content, self._rate = content, rate
        self._session = Session.open(manifest, content, kind)
        self.kind = self._session.interpreter

    def step(self, batch: Batch, weights: list[np.ndarray] | None = None) -> Step:
        """One step from these weights, or from the live ones."""
        if self.random:
            # Only the first draw of random numbers equals TensorFlow's.
            self._session = Session.open(self.manifest, self._content, self.kind)
        if weights is not None:
            self._session.restore({f"w{i}": w for i, w in enumerate(weights)})
        loss = self._session.train_step(*batch, self._rate)
        return loss, list(self._session.save().values())


def _compare(device: _Device, batches: list[Batch], trajectory: list[Step]) -> Parity:
    losses, gaps, moves = [], [], []
    starts = zip(batches, trajectory, trajectory[1:], strict=False)
    for batch, (_, before), (expected, after) in starts:
        loss, found = device.step(batch, before)
        losses.append(abs(loss - expected) / max(abs(expected), 1e-6))
        gaps.append(_largest(found, after))
        moves.append(_largest(before, after))
    typical, moved = np.median(gaps, axis=0), np.median(moves, axis=0)
    worst = np.max(gaps, axis=0)
    drift = (
        [None] * len(worst) if device.random else _drift(device, batches, trajectory)
    )
    rows = zip(device.manifest.weights, typical, worst, drift, moved, strict=True)
    weights = {
        w.layer: WeightParity(float(t), float(most), d, float(m))
        for w, t, most, d, m in rows
    }
    return Parity(device.kind, len(batches), max(losses), weights)


def _drift(
    device: _Device, batches: list[Batch], trajectory: list[Step]
) -> list[float | None]:
    """Differences after all steps in a row."""
    found = trajectory[0][1]
    for number, batch in enumerate(batches):
        _, found = device.step(batch, found if number == 0 else None)
    return list(_largest(found, trajectory[-1][1]))


def _largest(a: list[np.ndarray], b: list[np.ndarray]) -> list[float]:
    """The largest absolute difference of each weight."""
    return [float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True)]


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
