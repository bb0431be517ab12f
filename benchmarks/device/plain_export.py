"""A plain TFLite export for inference: what our artifact's variables cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from device.keras_model import plain_tflite
from device.peer import Predict
from device.work import INFERENCES, Work


def prepare(work: Work) -> None:
    for examples in INFERENCES:
        plain_tflite(work, examples)


def predict(work: Work, examples: int, interpreter_class: Any) -> Predict:
    """An inference by that package's `Interpreter`."""
    path = str(work.folder / f"plain{examples}.tflite")
    interpreter = interpreter_class(path, num_threads=1)
    # tflite_runtime applies XNNPACK only if this precedes any runner.
    interpreter.allocate_tensors()
    infer = interpreter.get_signature_runner()

    def call(x: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = infer(x=x)["output"]
        return probabilities

    return call
