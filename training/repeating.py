"""Trains a finished run again, and says whether the same model comes out."""

from __future__ import annotations

import pathlib

import numpy as np

from fedp.device_runtime.errors import RunError
from fedp.training.loop import train
from fedp.training.progress import Progress, default_progress
from fedp.training.run_directory import FINISHED, Run, load_run
from fedp.training.run_record import open_same_data, package_versions


def repeat(
    run_path: pathlib.Path, out: pathlib.Path, ui: Progress | None = None
) -> tuple[Run, bool]:
    """Trains with the configuration that a run stored.

    Args:
        run_path: the run to repeat.
        out: the new run directory.
        ui: gets the progress; stderr unless given.

    Returns:
        The new run, and whether its weights are the old ones to the last bit. Runs with
        differential privacy never are: their noise must not be foretold.

    Raises:
        RunError: the old run is not finished, or its data set has changed.
        FedpError: as `train`.
    """
    progress = ui or default_progress()
    old = load_run(run_path)
    if old.record.status != FINISHED:
        raise RunError(
            f"run {run_path} is not finished: finish it with `fedp train --resume "
            f"{run_path}`, then repeat it"
        )
    open_same_data(old).close()
    versions = package_versions()
    for package, version in old.record.versions.items():
        if versions.get(package) != version:
            progress.say(
                f"{package} was {version} then and is {versions.get(package)} now: the "
                "model may differ"
            )
    new = train(old.config, out, ui=progress)
    pairs = zip(old.weights(), new.weights(), strict=True)
    return new, all(np.array_equal(a, b) for a, b in pairs)
