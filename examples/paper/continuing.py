"""A new run that starts from what another one has finished, so that it trains once.

The new run's configuration begins with the finished one's rounds; its directory is made
as that run would have left it had it been interrupted there, and is then resumed.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil

from fedp.device_runtime.errors import RunError
from fedp.training.configuration import TrainingConfig
from fedp.training.run_directory import FINISHED, INTERRUPTED, create_run, load_run


def continue_run(base_path: pathlib.Path, config: TrainingConfig, out: pathlib.Path):
    """Creates `out`, ready for `train(config, out, resume=True)`; whole or not at all.

    Args:
        base_path: a finished run.
        config: the base's rounds, then more; only `stages` and `eval_every` differ.
        out: the new run directory.

    Raises:
        RunError: the base is not finished, or the configuration does not continue it.
    """
    base = load_run(base_path)
    if base.record.status != FINISHED or not _continues(base.config, config):
        raise RunError(
            f"run {out} cannot continue {base_path}: that has to be finished, and to "
            "have the same options and the same first rounds"
        )
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    record = dataclasses.replace(
        base.record, config=config, status=INTERRUPTED, peak_memory_mb=None
    )
    run = create_run(part, record)
    newest = max(base.checkpoints.glob("round_*.npz"))
    shutil.copy(newest, run.checkpoints)
    for stage in base.config.stages:
        if stage in config.stages:  # else it goes on, and its weights are not final
            shutil.copy(base_path / f"stage_{stage.name}.npz", part)
    for name in ("metrics.csv", "participants.csv"):
        shutil.copy(base_path / name, part)
    os.replace(part, out)


def _continues(base: TrainingConfig, config: TrainingConfig) -> bool:
    changed = {"stages": base.stages, "eval_every": base.eval_every}
    if dataclasses.replace(config, **changed) != base:
        return False
    *whole, last = base.stages
    here = config.stages[: len(base.stages)]
    return (
        list(here[:-1]) == whole
        and here[-1].rounds >= last.rounds
        and dataclasses.replace(here[-1], rounds=last.rounds) == last
        and (here[-1] == last or len(config.stages) == len(base.stages))
    )
