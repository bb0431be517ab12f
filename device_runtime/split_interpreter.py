"""tflite_runtime in several interpreters, since one corrupts memory.

XNNPACK in tflite_runtime 2.14 (its last release) has one workspace for all signatures
of an interpreter. A signature that has run keeps pointers into it; when another one
then makes it grow, it moves, and the first writes to freed memory on its next run.
(`evaluate`, `train`, `evaluate` of a CNN ends in a segmentation fault.)

Its plain kernels are no way out: ADD, MUL and others write over an input that a RESHAPE
shares with a tensor that is still needed, and the answer is wrong without a word.

So each signature that computes has XNNPACK and an interpreter of its own, loaded when
it first runs; plain kernels only keep the weights, which go where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedp.device_runtime import contract
from fedp.device_runtime.loaded_interpreter import LoadedInterpreter

_COMPUTING = (contract.TRAIN, contract.EVALUATE, contract.INFER, contract.FEATURES)
_CHANGING = (
    contract.TRAIN,
    contract.RESTORE,
    contract.RESET,
    contract.RESTORE_SLOTS,
)
# Saving, and what brings it back: weights first, since that zeroes the slots.
_WEIGHTS = (contract.SAVE, contract.RESTORE)
_SLOTS = (contract.SAVE_SLOTS, contract.RESTORE_SLOTS)


class SplitInterpreter:
    """Behaves as one `LoadedInterpreter`.

    Attributes:
        kind: of all of them.
    """

    def __init__(
        self, keeper: LoadedInterpreter, load: Callable[[], LoadedInterpreter]
    ) -> None:
        """Takes over an interpreter without XNNPACK.

        Args:
            keeper: runs what computes nothing.
            load: makes one with XNNPACK, with the initial weights.
        """
        self.kind = keeper.kind
        self._keeper = keeper
        self._load = load
        self._computing: dict[str, LoadedInterpreter] = {}
        # The one that changed the weights last, and those that have its weights.
        self._newest = keeper
        self._fresh = {keeper}

    def inputs(self, signature: str) -> list[str]:
        """See `LoadedInterpreter.inputs`."""
        return self._keeper.inputs(signature)

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """See `LoadedInterpreter.run`."""
        runner = self._runner(signature)
        if runner not in self._fresh:
            self._hand_over(runner, slots=signature not in _COMPUTING[1:])
        if signature in _CHANGING:
            self._newest, self._fresh = runner, {runner}
        return runner.run(signature, **inputs)

    def _runner(self, signature: str) -> LoadedInterpreter:
        if signature not in _COMPUTING:
            return self._keeper
        if signature not in self._computing and self._keeper.has(signature):
            self._computing[signature] = self._load()
        return self._computing.get(signature, self._keeper)

    def _hand_over(self, taker: LoadedInterpreter, slots: bool) -> None:
        """Copies the live weights, and what the optimizer remembers where it counts."""
        for save, restore in (_WEIGHTS, _SLOTS) if slots else (_WEIGHTS,):
            if taker.has(save):
                (unused,) = taker.inputs(save)
                kept = self._newest.run(save, **{unused: np.zeros(1, np.int32)})
                taker.run(restore, **kept)
        self._fresh.add(taker)
