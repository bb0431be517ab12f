"""tflite_runtime in two interpreters, since one corrupts memory.

XNNPACK in tflite_runtime 2.14 (its last release) has one workspace for all signatures
of an interpreter. A signature that has run keeps pointers into it; when another one
then makes it grow, it moves, and the first writes to freed memory on its next run.
(`evaluate`, `train`, `evaluate` of a CNN ends in a segmentation fault.) So XNNPACK runs
`train` alone, where it pays most, in an interpreter of its own; plain kernels run the
rest, and the weights go where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedp.device_runtime import contract
from fedp.device_runtime.loaded_interpreter import LoadedInterpreter


class SplitInterpreter:
    """Behaves as one `LoadedInterpreter`.

    Attributes:
        kind: of the two.
    """

    def __init__(
        self, plain: LoadedInterpreter, load_trainer: Callable[[], LoadedInterpreter]
    ) -> None:
        """The trainer is loaded when `train` first runs; many devices only predict."""
        self.kind = plain.kind
        self._plain = plain
        self._load_trainer = load_trainer
        self._trainer: LoadedInterpreter | None = None
        self._holder = plain  # Of the live weights.

    def inputs(self, signature: str) -> list[str]:
        """See `LoadedInterpreter.inputs`."""
        return self._plain.inputs(signature)

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """See `LoadedInterpreter.run`."""
        if signature == contract.TRAIN:
            self._trainer = self._trainer or self._load_trainer()
            self._hand_over(self._trainer)
        else:
            self._hand_over(self._plain)
        return self._holder.run(signature, **inputs)

    def _hand_over(self, taker: LoadedInterpreter) -> None:
        """Copies the live weights to where the next signature runs."""
        if taker is not self._holder:
            (unused,) = self._holder.inputs(contract.SAVE)
            weights = self._holder.run(contract.SAVE, **{unused: np.zeros(1, np.int32)})
            taker.run(contract.RESTORE, **weights)
            self._holder = taker
