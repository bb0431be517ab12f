"""fedp's artifact on tflite_runtime."""

from __future__ import annotations

from device import fedp_artifact
from device.peer import Peer, Predict, Train
from device.work import Work

_KIND = "tflite_runtime"


def train(work: Work) -> Train:
    return fedp_artifact.train(work, _KIND)


def predict(work: Work, examples: int) -> Predict:
    return fedp_artifact.predict(work, _KIND)


PEER = Peer(
    "fedp on tflite-runtime",
    ("tflite-runtime", "numpy", "click"),
    "pip install tflite-runtime",
    train,
    predict,
    fedp_artifact.prepare,
)
