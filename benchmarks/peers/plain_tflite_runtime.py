"""A plain TFLite export, its weights constants, on tflite_runtime: inference alone."""

from __future__ import annotations

from device import plain_export
from device.peer import Peer, Predict
from device.work import Work


def predict(work: Work, examples: int) -> Predict:
    from tflite_runtime.interpreter import Interpreter

    return plain_export.predict(work, examples, Interpreter)


PEER = Peer(
    "plain TFLite on tflite-runtime",
    ("tflite-runtime", "numpy"),
    "pip install tflite-runtime",
    predict=predict,
    prepare=plain_export.prepare,
)
