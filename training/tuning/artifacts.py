"""One exported file for each part of the model that might train."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Sequence
from hashlib import sha256

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import ArtifactError

_PARITY_STEPS = 2  # `fedp export` proves the chosen one in full


def artifacts_for(
    run_path: pathlib.Path,
    stage: str,
    choices: Sequence[str],
    folder: pathlib.Path,
    seed: int,
    report: Callable[[str], None],
) -> dict[str, pathlib.Path]:
    """Exports the run's model once a choice, unless an earlier tuning left the file.

    Args:
        run_path: the run directory.
        stage: whose model is taken.
        choices: values of `Policy.trainable`.
        folder: where the files go; of this model and this fedp alone.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        FedpError: see `export_run`.
    """
    paths = {choice: folder / _file_name(choice) for choice in choices}
    for choice, path in paths.items():
        if _usable(path):
            continue
        from fedp.export.exporter import write_artifact
        from fedp.export.from_run import export_run

        report(f"exporting with {choice!r} to train")
        done = export_run(
            run_path,
            stage=stage,
            tuned=False,
            changes={"trainable": choice},
            parity_steps=_PARITY_STEPS,
            seed=seed,
        )
        write_artifact(done.content, path)
    return paths


def _usable(path: pathlib.Path) -> bool:
    try:
        read_artifact(path)
    except ArtifactError:
        return False
    return True


def _file_name(choice: str) -> str:
    readable = re.sub(r"[^\w.-]+", "_", choice)[:40]
    return f"{readable}-{sha256(choice.encode()).hexdigest()[:8]}.tflite"
