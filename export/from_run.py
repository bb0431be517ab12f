"""From a run directory to an artifact."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from fedp.device_runtime import contract
from fedp.device_runtime.errors import ExportError
from fedp.export.exporter import Export, export_model
from fedp.training.models import build_model, ends_in_softmax, loss_fn
from fedp.training.run_directory import load_run


def export_run(
    run_path: str | pathlib.Path,
    *,
    stage: str | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Exports the model that a run trained.

    Args:
        run_path: the run directory.
        stage: name of the stage whose model is taken; None for the last one.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        RunError: no such run or stage, or the stage is not finished.
        ExportError: see `export_model`.
    """
    run = load_run(run_path)
    record, config = run.record, run.config
    weights = run.weights(stage)
    if config.client_optimizer != "sgd" or record.label_shape:
        raise ExportError(
            f"run {run_path} has client optimizer {config.client_optimizer!r} and "
            f"labels of shape {list(record.label_shape)}: a device adapts with SGD on "
            "one label an example; train such a model for now"
        )
    model = build_model(config.model, record.input_shape, len(record.classes))
    model.set_weights(weights)
    stage = stage or config.stages[-1].name
    names = [s.name for s in config.stages]
    done = config.stages[: names.index(stage) + 1]
    return export_model(
        model,
        name=config.model,
        classes=record.classes,
        loss=loss_fn(model),
        ends_in_softmax=ends_in_softmax(model),
        batch_size=config.batch_size,
        # Stage 3 of Algorithm 2: the same client optimizer as in training.
        policy=contract.Policy(
            learning_rate=config.client_learning_rate,
            epochs=config.personalization_epochs,
        ),
        client_split=dict(record.client_split),
        provenance={
            "data": record.data_name,
            "data_fingerprint": record.fingerprint,
            "stage": stage,
            "stages": [f"{s.name}: {s.algorithm}, {s.rounds} rounds" for s in done],
            "rounds": sum(s.rounds for s in done),
            "seed": config.seed,
            "trained_with": record.versions,
        },
        seed=seed,
        report=report,
    )
