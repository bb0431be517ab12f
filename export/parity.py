"""Proof that the file computes what TensorFlow computes, step by step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.session import Session
from fedp.export.reference import Batch, Reference, State, Step

LOSS_TOLERANCE = 1e-4  # of the loss
ANSWER_TOLERANCE = 1e-3  # of the largest loss or answer
_SURE = 0.9  # share of examples whose hit or miss no rounding may change
TYPICAL_TOLERANCE = 1e-4  # of how far a step moves a weight tensor, median over steps
WORST_TOLERANCE = 2e-2  # the same in any one step: a near-tie may fall the other way
_ROUNDING = 1e-6  # float32 noise in tensors that hardly move


@dataclasses.dataclass(frozen=True)
class WeightParity:
    """How one weight, or slot of the optimizer, differs from TensorFlow's.

    Attributes:
        typical: largest absolute difference of an entry after one step from the same
            weights, median over the steps.
        worst: the largest of them. Where two pooled values or a value and zero differ
            by float32 rounding alone, a gradient may go to the other one.
        drift: difference after all steps without going back to TensorFlow's weights;
            None with dropout.
        moved: how far one step moves an entry, the largest, median over the steps.
        loose: the optimizer magnifies rounding here, so the typical difference may be
            as large as the worst.
    """

    typical: float
    worst: float
    drift: float | None
    moved: float
    loose: bool = False

    @property
    def passed(self) -> bool:
        """Whether the differences are those of float32 arithmetic."""
        typical = WORST_TOLERANCE if self.loose else TYPICAL_TOLERANCE
        return (
            self.typical <= typical * self.moved + _ROUNDING
            and self.worst <= WORST_TOLERANCE * self.moved + _ROUNDING
        )


@dataclasses.dataclass(frozen=True)
class Parity:
    """Differences between TensorFlow and one interpreter over some training steps.

    Attributes:
        interpreter: its kind.
        steps: training steps compared, the last one on a partial batch.
        loss: largest difference of a step's loss, relative to that loss.
        answers: largest difference of what `evaluate` and `infer` say with the first
            and the last weights, relative to the largest of each.
        weights: of each weight and slot, by its name in the manifest.
    """

    interpreter: str
    steps: int
    loss: float
    answers: float
    weights: dict[str, WeightParity]

    @property
    def failed(self) -> list[str]:
        """What is beyond tolerance: "loss", "answers", or names of weights."""
        loss = [] if self.loss <= LOSS_TOLERANCE else ["loss"]
        if not self.answers <= ANSWER_TOLERANCE:
            loss.append("answers")
        return loss + [name for name, w in self.weights.items() if not w.passed]

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return dataclasses.asdict(self)


def check_parity(
    reference: Reference,
    content: bytes,
    manifest: Manifest,
    batches: Sequence[Batch],
    trajectory: Sequence[Step],
) -> list[Parity]:
    """Trains the file beside the Keras model, on every interpreter installed.

    Args:
        reference: the Keras model's steps.
        content: the file.
        manifest: of the file.
        batches: of the steps.
        trajectory: what the reference computed with them.

    Raises:
        ExportError: a difference is beyond tolerance, and names the weights; or there
            is nothing to compare, as TensorFlow's own steps leave the finite numbers.
        MissingDependencyError: no interpreter is installed.
    """
    _check_finite(trajectory, reference.learning_rate)
    results = []
    # Without any interpreter, loading one says what to install.
    for kind in available_interpreters() or (None,):
        device = _Device(manifest, content, kind, reference)
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


def _check_finite(trajectory: Sequence[Step], learning_rate: float) -> None:
    """Raises ExportError where TensorFlow's own steps are not finite numbers."""
    start, *later = trajectory
    losses = [step.loss for step in later]
    if not (_all_finite(start.after) and all(map(math.isfinite, losses[:1]))):
        raise ExportError(
            "the model's weights or its loss are not finite before any step: train it "
            "again, or look for the layer that gives such numbers"
        )
    if not all(_all_finite(step.after) and math.isfinite(step.loss) for step in later):
        raise ExportError(
            f"the steps diverge at learning rate {learning_rate:g}: give a smaller "
            "--learning-rate"
        )


def _all_finite(state: State) -> bool:
    return all(np.isfinite(array).all() for array in (*state.weights, *state.slots))


class _Device:
    """The file on one interpreter."""

    def __init__(
        self,
        manifest: Manifest,
        content: bytes,
        kind: str | None,
        reference: Reference,
    ):
        self.manifest, self.random = manifest, reference.random
        self._content, self._rate = content, reference.learning_rate
        self._reference = reference
        self._session = Session.open(manifest, content, kind)
        self.kind = self._session.interpreter

    def step(self, batch: Batch, state: State | None = None) -> Step:
        """One step from this state, or from the live one."""
        if self.random:
            # Only the first draw of random numbers equals TensorFlow's.
            self._session = Session.open(self.manifest, self._content, self.kind)
        if state is not None:
            self._session.restore(_named("w", state.weights))
            self._session.restore_slots(_named("s", state.slots))
        x, y, weight = batch
        x = self._session.features(x)
        loss = self._session.train_step(x, y, weight, self._rate)
        weights, slots = self._session.save(), self._session.save_slots()
        return Step(loss, State(list(weights.values()), list(slots.values())))

    def differences(self, state: State, batch: Batch) -> float:
        """Of what the file and TensorFlow answer with these weights, relative."""
        expected = self._reference.answers(state, batch)
        self._session.restore(_named("w", state.weights))
        x, y, _ = batch
        # Not a whole batch, so that a file for any number of examples shows it.
        few = slice(0, max(len(x) - 1, 1))
        loss, correct = self._session.evaluate(self._session.features(x[few]), y[few])
        output = self._session.infer(x[few])
        if np.mean(np.abs(correct - expected.correct[few]) < 0.01) < _SURE:
            return float("inf")
        pairs = (loss, expected.loss[few]), (output, expected.output[few])
        return max(
            float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)) for a, b in pairs
        )

    def check_reset(self, initial: State) -> None:
        """Raises ExportError unless `reset` brings the initial weights back."""
        self._session.reset()
        found = list(self._session.save().values())
        if any((a != b).any() for a, b in zip(found, initial.weights, strict=True)):
            raise ExportError(
                f"the file does not go back to its initial weights on {self.kind}: "
                "please report the model"
            )


def _named(letter: str, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{letter}{i}": value for i, value in enumerate(values)}


def _compare(
    device: _Device, batches: Sequence[Batch], trajectory: Sequence[Step]
) -> Parity:
    losses, gaps, moves = [], [], []
    starts = zip(batches, trajectory, trajectory[1:], strict=False)
    for batch, start, expected in starts:
        found = device.step(batch, start.after)
        losses.append(abs(found.loss - expected.loss) / max(abs(expected.loss), 1e-6))
        gaps.append(_largest(found.after, expected.after))
        moves.append(_largest(start.after, expected.after))
    typical, moved = np.median(gaps, axis=0), np.median(moves, axis=0)
    worst = np.max(gaps, axis=0)
    drift = (
        [None] * len(worst) if device.random else _drift(device, batches, trajectory)
    )
    manifest = device.manifest
    # Adam divides by the size of a gradient: rounding in tiny ones counts in full. Its
    # moments are the gradients, and are held to the usual tolerance.
    loose = manifest.client_optimizer == "adam"
    rows = zip(
        (*manifest.weights, *manifest.slots), typical, worst, drift, moved, strict=True
    )
    weights = {
        w.layer: WeightParity(
            float(t), float(most), d, float(m), loose and w.name[0] == "w"
        )
        for w, t, most, d, m in rows
    }
    answers = max(
        device.differences(state.after, batches[0])
        for state in (trajectory[0], trajectory[-1])
    )
    device.check_reset(trajectory[0].after)
    return Parity(device.kind, len(batches), max(losses), answers, weights)


def _drift(
    device: _Device, batches: Sequence[Batch], trajectory: Sequence[Step]
) -> list[float | None]:
    """Differences after all steps in a row."""
    found = trajectory[0]
    for number, batch in enumerate(batches):
        found = device.step(batch, found.after if number == 0 else None)
    return list(_largest(found.after, trajectory[-1].after))


def _largest(a: State, b: State) -> list[float]:
    """The largest absolute difference of each weight and slot."""
    pairs = zip((*a.weights, *a.slots), (*b.weights, *b.slots), strict=True)
    return [float(np.abs(x - y).max()) for x, y in pairs]
