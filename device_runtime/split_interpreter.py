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
        # Where the live weights are: not yet in the trainer, or not yet in the other.
        self._trainer_is_behind = True
        self._plain_is_behind = False

    def inputs(self, signature: str) -> list[str]:
        """See `LoadedInterpreter.inputs`."""
        return self._plain.inputs(signature)

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """See `LoadedInterpreter.run`."""
        if signature == contract.TRAIN:
            self._trainer = self._trainer or self._load_trainer()
            if self._trainer_is_behind:
                _copy(self._plain, self._trainer)
            self._trainer_is_behind, self._plain_is_behind = False, True
            return self._trainer.run(signature, **inputs)
        if self._trainer and self._plain_is_behind:
            _copy(self._trainer, self._plain)
            self._plain_is_behind = False
        if signature in _CHANGING:
            self._trainer_is_behind = True
        return self._plain.run(signature, **inputs)


_CHANGING = (contract.RESTORE, contract.RESET, contract.RESTORE_SLOTS)
# Saving, and what brings it back: weights first, since that zeroes the slots.
_STATE = (
    (contract.SAVE, contract.RESTORE),
    (contract.SAVE_SLOTS, contract.RESTORE_SLOTS),
)


def _copy(giver: LoadedInterpreter, taker: LoadedInterpreter) -> None:
    for save, restore in _STATE:
        if giver.has(save):
            (unused,) = giver.inputs(save)
            taker.run(restore, **giver.run(save, **{unused: np.zeros(1, np.int32)}))
