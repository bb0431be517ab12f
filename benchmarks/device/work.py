"""What all peers are given: a model's weights, and batches, in two .npz files."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from device import layers

BATCH_SIZE = 20
# Examples of the inferences that are timed.
INFERENCES = (1, 20)

# So many different batches come round again and again.
_BATCHES = 32
# Labels that a user has, of all that the model knows: its loss moves from the first
# step on, in which every layer has its part.
_USERS_CLASSES = 10
# Share of a class' pixels that are bright, as of a letter's.
_BRIGHT = 0.2
# Of the pixels' range.
_NOISE = 0.4
# Share; no model learns them, so that the loss stays away from 0 while steps are timed.
_WRONG_LABELS = 0.2


@dataclasses.dataclass(frozen=True)
class Work:
    """A training job, or the inputs of an inference.

    Attributes:
        folder: where it is, and where a peer's prepared files are.
        model: a key of `layers.MODELS`.
        x: images, float32 [batches, B, 28, 28, 1].
        y: labels, int32 [batches, B].
        learning_rate: of SGD.
    """

    folder: pathlib.Path
    model: str
    x: np.ndarray
    y: np.ndarray
    learning_rate: float

    @property
    def layers(self) -> list[tuple[layers.Layer, layers.Shape]]:
        """The layers, each with the shape of one example before it."""
        return layers.with_shapes(self.model)

    def weights(self) -> list[np.ndarray]:
        """Initial ones in the layers' order and shapes, float32; read each time."""
        with np.load(self.folder / "weights.npz") as file:
            return [file[f"arr_{i}"] for i in range(len(file.files))]

    @classmethod
    def open(cls, folder: pathlib.Path) -> Work:
        with np.load(folder / "work.npz") as file:
            model, rate = str(file["model"]), float(file["learning_rate"])
            return cls(folder, model, file["x"], file["y"], rate)


def write_work(
    folder: pathlib.Path, model: str, learning_rate: float, seed: int
) -> None:
    """Draws weights, and images that are their class' pattern under noise, centred."""
    random = np.random.default_rng(seed)
    patterns = random.random((_USERS_CLASSES, *layers.INPUT_SHAPE)) < _BRIGHT
    y = random.integers(0, _USERS_CLASSES, (_BATCHES, BATCH_SIZE), np.int32)
    noise = random.random((*y.shape, *layers.INPUT_SHAPE))
    x = (1 - _NOISE) * patterns[y] + _NOISE * noise
    x = (x - x.mean()).astype(np.float32)
    wrong = random.random(y.shape) < _WRONG_LABELS
    y[wrong] = random.integers(0, _USERS_CLASSES, wrong.sum(), np.int32)
    np.savez(folder / "weights.npz", *layers.initial_weights(model, seed))
    np.savez(folder / "work.npz", model=model, x=x, y=y, learning_rate=learning_rate)
