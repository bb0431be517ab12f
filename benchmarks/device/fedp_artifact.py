"""fedp's artifact in a session of the device runtime, which imports no TensorFlow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from device.keras_model import artifact
from device.peer import Predict, Train
from device.work import Work

if TYPE_CHECKING:
    from fedp.device_runtime import Session


def prepare(work: Work) -> None:
    artifact(work)


def train(work: Work, kind: str) -> Train:
    """A step on the interpreter of that kind."""
    session = _open(work, kind)
    ones = np.ones(work.y.shape[1], np.float32)
    return lambda x, y: session.train_step(x, y, ones, work.learning_rate)


def predict(work: Work, kind: str) -> Predict:
    """The `infer` signature, whose weights are variables."""
    return _open(work, kind).infer


def _open(work: Work, kind: str) -> Session:
    from fedp.device_runtime import Session, read_artifact

    session = Session.open(*read_artifact(work.folder / "fedp.tflite"), kind, threads=1)
    assert "tensorflow" not in sys.modules, "a device has no TensorFlow"
    return session
