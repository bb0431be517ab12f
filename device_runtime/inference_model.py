"""A baked model in an interpreter: what a device serves from."""

from __future__ import annotations

import numpy as np

from fedp.device_runtime.baking import SIGNATURE
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.interpreter import load_interpreter

# Examples in one run; bounds the memory of a long prediction.
_EXAMPLES = 64


class InferenceModel:
    """Predicts with weights that are constants, which is as fast as TFLite gets.

    Not safe for use by two threads at a time.

    Attributes:
        interpreter: kind of interpreter that runs it.
    """

    def __init__(
        self, content: bytes, kind: str | None = None, threads: int = 1
    ) -> None:
        """Loads what `bake` made.

        Args:
            content: the whole file.
            kind: see `load_interpreter`.
            threads: see `load_interpreter`.

        Raises:
            ArtifactError: the interpreter refuses the file.
        """
        self._interpreter = load_interpreter(content, kind, threads, one_signature=True)
        self.interpreter = self._interpreter.kind
        inputs = self._interpreter.inputs(SIGNATURE)
        if len(inputs) != 1:
            raise ArtifactError(
                f"a baked model takes x alone, not {inputs}: export the model again"
            )
        (self._input,) = inputs

    def infer(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 [n, ..., C], of inputs [n, *input_shape]."""
        if not len(x):  # Interpreters do not take an empty batch: only for the shape.
            return self.infer(np.zeros((1, *x.shape[1:]), x.dtype))[:0]
        parts = [
            self._run(x[start : start + _EXAMPLES])
            for start in range(0, len(x), _EXAMPLES)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, x: np.ndarray) -> np.ndarray:
        outputs = self._interpreter.run(SIGNATURE, **{self._input: x})
        if "output" not in outputs:
            raise ArtifactError(
                f"a baked model gives `output`, not {sorted(outputs)}: export the "
                "model again"
            )
        return outputs["output"]
