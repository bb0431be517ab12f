"""Clients' accuracies on disk: a file a model, replica and way to personalize."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from settings import Settings
from wanted import Job, Look

from fedp.training.checkpoints import write_run_file


class Curves(NamedTuple):
    """What one file holds.

    Attributes:
        accuracies: float32 [clients, epochs + 1], after 0, 1, ... local epochs.
        clients: their names.
    """

    accuracies: np.ndarray
    clients: tuple[str, ...]


def path_of(out: pathlib.Path, job: Job, look: Look) -> pathlib.Path:
    return out / "curves" / job.cell.name / f"{job.replica}_{look.name}.npz"


def asked(settings: Settings, look: Look) -> str:
    """All but the weights and the number of epochs that the accuracies depend on."""
    fields = ("data", "max_examples", "split_seed", "client_test", "test_clients")
    what = {field: getattr(settings, field) for field in fields}
    shares = {"validation": settings.validation, "test": settings.test}
    adapter = dataclasses.asdict(look.adapter)
    return json.dumps({**what, **shares, "role": look.role, "adapter": adapter})


def write(
    path: pathlib.Path, accuracies: np.ndarray, clients: Sequence[str], asked: str
) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"accuracies": accuracies, "clients": list(clients), "asked": asked}
    write_run_file(path, lambda file: np.savez(file, **arrays))


def read(path: pathlib.Path, asked: str, epochs: int) -> Curves | None:
    """Reads a file; None if there is none, or it answers something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["asked"]) != asked:
                return None
            accuracies, clients = file["accuracies"], tuple(file["clients"].tolist())
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    if accuracies.shape[1] <= epochs:
        return None
    return Curves(accuracies[:, : epochs + 1], clients)
