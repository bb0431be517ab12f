"""Kills of a `Personalizer` that adapts, decides, stores and rolls back."""

from __future__ import annotations

import functools
import pathlib
import random
import tempfile
import time
from typing import NamedTuple

import numpy as np

from fedp.device_runtime import Budget, Personalizer, read_artifact
from kills.process import Say, Tally, check_files, count, killed

_BUDGET = Budget(epochs=8)
_SEEDS = 3
_STORED = 9


class _Work(NamedTuple):
    """What is adapted to, and what must come of it, bit for bit.

    Attributes:
        artifact: path of the artifact.
        directory: of the state.
        x: inputs.
        y: labels.
        weights: of the adaptation by each seed.
        answers: to x, of the initial model and by each seed.
    """

    artifact: pathlib.Path
    directory: pathlib.Path
    x: np.ndarray
    y: np.ndarray
    weights: list[bytes]
    answers: list[np.ndarray]


def kill_adaptations(artifact: pathlib.Path, kills: int, seed: int) -> Tally:
    """Kills children that adapt or roll back.

    Args:
        artifact: small, so that an adaptation takes some 10 ms; of classes.
        kills: how many.
        seed: of the instants.
    """
    chance = random.Random(seed)
    tally: Tally = {}
    with tempfile.TemporaryDirectory() as name:
        work = _prepare(artifact, pathlib.Path(name) / "state")
        live: list[int] = []
        for kill in range(kills):
            child = functools.partial(_adapt, work=work)
            said = killed(child, chance.uniform(0, 0.1), at_once=kill % 10 == 0)
            for operation in said.done:
                live = _after(live, *operation)
            phase = count(tally, said, work.directory)
            with Personalizer.open(work.artifact, work.directory) as device:
                found = _weights(device)
                cut = _after(live, *said.begun) if said.begun else live
                if said.begun and found == [work.weights[n] for n in cut]:
                    live = cut
                    tally[phase]["came through"] += 1
                assert found == [work.weights[n] for n in live], f"{kill} in {phase}"
                served = work.answers[live[-1] + 1 if live else 0]
                assert (device.predict(work.x) == served).all(), f"{kill} in {phase}"
                kept = device.examples()
                assert kept.ids.tolist() == list(range(1, _STORED + 1))
                assert (kept.x == work.x[:_STORED]).all()
                assert not device.status().warnings
                check_files(work.directory)
    return tally


def _prepare(artifact: pathlib.Path, directory: pathlib.Path) -> _Work:
    """Stores examples, and adapts once by each seed, uninterrupted."""
    manifest = read_artifact(artifact)[0]
    data = np.random.default_rng(0)
    x = data.standard_normal((40, *manifest.input_shape)).astype(np.float32)
    y = (x.reshape(len(x), -1)[:, 0] > 0).astype(np.int64)
    weights, answers = [], []
    for seed in range(_SEEDS):
        with Personalizer.open(artifact) as device:
            if not answers:
                answers.append(device.predict(x))
            outcome = device.personalize(x, y, seed=seed, budget=_BUDGET)
            assert outcome.decision == "keep", outcome
            answers.append(device.predict(x))
            weights += _weights(device)
    with Personalizer.open(artifact, directory) as device:
        for row in zip(x[:_STORED], y[:_STORED], strict=True):
            device.add_example(*row)
    return _Work(artifact, directory, x, y, weights, answers)


def _adapt(say: Say, work: _Work) -> None:
    chance = random.Random(time.monotonic_ns())
    with Personalizer.open(work.artifact, work.directory) as device:
        say("opened")
        while True:
            operation = chance.choice(["adapting", "adapting", "rolling back"])
            seed = chance.randrange(_SEEDS)
            say(f"begin {operation} {seed}")
            if operation == "adapting":
                device.personalize(work.x, work.y, seed=seed, budget=_BUDGET)
            else:
                device.rollback()
            say("done")


def _after(live: list[int], operation: str, seed: int) -> list[int]:
    return [*live, seed][-3:] if operation == "adapting" else live[:-1]


def _weights(device: Personalizer) -> list[bytes | None]:
    """All generations', oldest first."""
    store = device._store
    rows = [store.newest(skip) for skip in reversed(range(store.count()))]
    return [row.weights if row else None for row in rows]
