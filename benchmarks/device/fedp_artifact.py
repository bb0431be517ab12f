"""fedp's artifact in a session of the device runtime, which imports no TensorFlow."""

from __future__ import annotations

import numpy as np

from device.keras_model import artifact
from device.peer import Predict, Train
from device.work import Work


def prepare(work: Work) -> None:
    artifact(work)


def train(work: Work, kind: str) -> Train:
    """A step on the interpreter of that kind."""
    from fedp.device_runtime import Session, read_artifact

    session = Session.open(*read_artifact(work.folder / "fedp.tflite"), kind, 1)
    ones = np.ones(work.y.shape[1], np.float32)
    return lambda x, y: session.train_step(x, y, ones, work.learning_rate)


def predict(work: Work, kind: str) -> Predict:
    """The `infer` signature, whose weights are variables."""
    from fedp.device_runtime import Session, read_artifact

    return Session.open(*read_artifact(work.folder / "fedp.tflite"), kind, 1).infer
