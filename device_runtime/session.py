"""A session: one interpreter whose variables are one model's weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedp.device_runtime import contract
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.interpreter import Interpreter, load_interpreter
from fedp.device_runtime.weights import Weights, check

# Examples in one `infer`; bounds the memory of a long prediction.
_INFER_EXAMPLES = 64

_NOTHING = np.zeros(1, np.int32)


class Session:
    """Trains, evaluates and predicts with one set of live weights.

    It starts as the initial model. Not safe for use by two threads at a time.

    Attributes:
        manifest: of the artifact.
        interpreter: kind of interpreter that runs it.
    """

    def __init__(self, manifest: Manifest, interpreter: Interpreter) -> None:
        """Takes over an interpreter; see also `Session.open`."""
        self.manifest = manifest
        self.interpreter = interpreter.kind
        self._interpreter = interpreter

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        content: bytes,
        kind: str | None = None,
        threads: int = 1,
    ) -> Session:
        """Loads an artifact; see `load_interpreter` for the arguments."""
        return cls(manifest, load_interpreter(content, kind, threads))

    def features(self, x: np.ndarray) -> np.ndarray:
        """What `train_step` and `evaluate` take in place of inputs; any n.

        The inputs themselves, unless a part of the model is frozen: then its output,
        float32 [n, *features_shape], which stays the same for a whole adaptation.
        """
        shape = self.manifest.features_shape
        if shape is None:
            return x
        found = np.zeros((len(x), *shape), np.float32)
        for part in _parts(len(x), self.manifest.batch_size):
            outputs = self._interpreter.run(contract.FEATURES, x=self._padded(x[part]))
            found[part] = _rows(outputs, "features", len(x[part]), shape)
        return found

    def train_step(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, learning_rate: float
    ) -> float:
        """One step of the client optimizer on at most B examples.

        Args:
            x: what `features` gave, [n, ...], n <= B.
            y: labels [n, *label_shape], as the manifest says.
            weight: of each example in loss and gradient, float32 [n].
            learning_rate: of this step.

        Returns:
            The weighted mean loss before the step.
        """
        outputs = self._interpreter.run(
            contract.TRAIN,
            x=self._padded(x),
            y=self._padded(y),
            weight=self._padded(weight),
            learning_rate=np.array([learning_rate], np.float32),
        )
        return float(outputs["loss"][0])

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss of each example, and the share of its labels that are hit, 0..1.

        Args:
            x: what `features` gave, [n, ...]; any n.
            y: labels [n, *label_shape], as the manifest says.

        Returns:
            Two arrays, float32 [n].
        """
        losses = np.zeros(len(x), np.float32)
        correct = np.zeros(len(x), np.float32)
        for part in _parts(len(x), self.manifest.batch_size):
            outputs = self._interpreter.run(
                contract.EVALUATE, x=self._padded(x[part]), y=self._padded(y[part])
            )
            count = len(x[part])
            losses[part] = _rows(outputs, "loss", count, ())
            correct[part] = _rows(outputs, "correct", count, ())
        return losses, correct

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Answers, float32 [n, ..., C], to inputs [n, *input_shape]; any n.

        Class probabilities; for a regression, its numbers.
        """
        shape = answer_shape(self.manifest)
        found = np.zeros((len(x), *shape), np.float32)
        fixed, size = self.manifest.fixed_batch, self.manifest.batch_size
        for part in _parts(len(x), size if fixed else _INFER_EXAMPLES):
            rows = self._padded(x[part]) if fixed else x[part]
            outputs = self._interpreter.run(contract.INFER, x=rows)
            found[part] = _rows(outputs, "output", len(x[part]), shape)
        return found

    def save(self) -> Weights:
        """A copy of the live weights."""
        outputs = self._run_plain(contract.SAVE)
        return {spec.name: outputs[spec.name] for spec in self.manifest.weights}

    def save_slots(self) -> Weights:
        """A copy of what the client optimizer remembers; empty for SGD."""
        if not self.manifest.slots:
            return {}
        outputs = self._run_plain(contract.SAVE_SLOTS)
        return {spec.name: outputs[spec.name] for spec in self.manifest.slots}

    def restore_slots(self, slots: Weights) -> None:
        """Goes on with a stopped adaptation; after `restore`, which zeroes the slots.

        Raises:
            StateError: they are not of this artifact's optimizer.
        """
        check(slots, self.manifest.slots)
        if slots:
            arrays = {name: np.asarray(s, np.float32) for name, s in slots.items()}
            self._interpreter.run(contract.RESTORE_SLOTS, **arrays)

    def restore(self, weights: Weights) -> None:
        """Makes these weights the live ones; an adaptation may start from them.

        Raises:
            StateError: they are not of this artifact's model.
        """
        check(weights, self.manifest.weights)
        arrays = {name: np.asarray(w, np.float32) for name, w in weights.items()}
        self._interpreter.run(contract.RESTORE, **arrays)

    def reset(self) -> None:
        """Goes back to the initial model."""
        self._run_plain(contract.RESET)

    def _run_plain(self, signature: str) -> dict[str, np.ndarray]:
        # Its one input means nothing: Java refuses a signature without any.
        (unused,) = self._interpreter.inputs(signature)
        return self._interpreter.run(signature, **{unused: _NOTHING})

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Appends rows of zeros up to the batch size."""
        missing = self.manifest.batch_size - len(rows)
        return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))


def answer_shape(manifest: Manifest) -> tuple[int, ...]:
    """Of one example's answer: classes, of each step of a sequence."""
    shape = manifest.labels.shape
    if not manifest.labels.are_classes:
        return shape
    return (*shape, len(manifest.classes))


def _rows(
    outputs: dict[str, np.ndarray], name: str, count: int, shape: tuple[int, ...]
) -> np.ndarray:
    """The first rows of an output, [count, *shape]; a forged file may have others."""
    rows = outputs[name][:count] if name in outputs else np.zeros(0)
    if rows.shape != (count, *shape):
        raise ArtifactError(
            f"the artifact gives {name} of shape {list(rows.shape)} where its manifest "
            f"says {[count, *shape]}: export the model again"
        )
    return rows


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
