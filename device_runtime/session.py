"""A session: one interpreter whose variables are one model's weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedp.device_runtime import contract
from fedp.device_runtime.contract import Manifest
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

    def train_step(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, learning_rate: float
    ) -> float:
        """One step of the client optimizer on at most B examples.

        Args:
            x: inputs, float32 [n, *input_shape], n <= B.
            y: labels, int32 [n].
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
        """Log loss, float32 [n], and whether each label is hit, bool [n]; any n."""
        losses = np.zeros(len(x), np.float32)
        correct = np.zeros(len(x), bool)
        for part in _parts(len(x), self.manifest.batch_size):
            outputs = self._interpreter.run(
                contract.EVALUATE, x=self._padded(x[part]), y=self._padded(y[part])
            )
            count = len(x[part])
            losses[part] = outputs["loss"][:count]
            correct[part] = outputs["correct"][:count] > 0.5
        return losses, correct

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 [n, C], of inputs float32 [n, *input_shape]."""
        probabilities = np.zeros((len(x), len(self.manifest.classes)), np.float32)
        for part in _parts(len(x), _INFER_EXAMPLES):
            outputs = self._interpreter.run(contract.INFER, x=x[part])
            probabilities[part] = outputs["output"]
        return probabilities

    def save(self) -> Weights:
        """A copy of the live weights."""
        outputs = self._run_plain(contract.SAVE)
        return {spec.name: outputs[spec.name] for spec in self.manifest.weights}

    def restore(self, weights: Weights) -> None:
        """Makes these weights the live ones.

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


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
