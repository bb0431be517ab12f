"""The writers of a job, read into memory: the same ones for every row."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
from job import Job

from fedp.training.data import open_data


class Writer(NamedTuple):
    """One writer's images.

    Attributes:
        name: in the data set.
        x: uint8 or float32 [n, ...].
        y: int32 [n].
        seed: of the shuffling, int32 [2].
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    seed: np.ndarray


class Halves(NamedTuple):
    """One writer's images for an evaluation: `support` to adapt on, `query` to test."""

    support: Writer
    query: Writer


def rounds_of(job: Job) -> list[list[Writer]]:
    """Draws the writers of every round."""
    random = np.random.default_rng(job.seed)
    return [_draw(job, random) for _ in range(job.rounds)]


def halves_of(job: Job) -> list[Halves]:
    """Draws the writers of an evaluation and splits each at random."""
    random = np.random.default_rng(job.seed)
    halves = []
    for name, x, y, seed in _draw(job, random):
        order = random.permutation(len(y))
        parts = order[: len(y) // 2], order[len(y) // 2 :]
        halves.append(Halves(*(Writer(name, x[p], y[p], seed) for p in parts)))
    return halves


def others_than(job: Job, taken: set[str]) -> list[Writer]:
    """All writers that do not take part."""
    with _data(job) as data:
        names = [name for name in data.clients() if name not in taken]
        return [Writer(name, *data.load(name), np.zeros(2, np.int32)) for name in names]


def model_of(job: Job) -> Any:
    """Builds the Keras model, holding the weights that the job starts from."""
    from fedp.training.models import build_model

    with _data(job) as data:
        shape, classes = data.input_shape, len(data.classes)
    model = build_model(job.model, shape, classes, job.seed)
    if job.weights is not None:
        with np.load(job.weights) as file:
            model.set_weights([file[name] for name in file.files])
    return model


def scaled(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """As float32 0..1 in the shape [n, *shape] that the model takes."""
    x = x / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32)
    return x.reshape(-1, *shape)


def _data(job: Job) -> Any:
    data = open_data(job.data, max_examples=job.most, seed=job.seed)
    return contextlib.closing(data)


def _draw(job: Job, random: np.random.Generator) -> list[Writer]:
    with _data(job) as data:
        names = [name for name in data.clients() if data.count(name) >= job.least]
        if len(names) < job.clients:
            raise SystemExit(
                f"{job.data}: {len(names)} clients have {job.least} examples or more, "
                f"{job.clients} are needed: lower --least or --clients"
            )
        chosen = random.choice(names, job.clients, replace=False)
        seeds = random.integers(0, 2**31, (job.clients, 2)).astype(np.int32)
        return [
            Writer(str(name), *data.load(str(name)), seed)
            for name, seed in zip(chosen, seeds, strict=True)
        ]
