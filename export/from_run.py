"""From a run directory to an artifact."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.errors import FedpError
from fedp.export.exporter import Export, Target, export_model
from fedp.export.rounding_cost import rounding_cost
from fedp.training.models import build_model
from fedp.training.run_directory import Run, load_run
from fedp.training.tuned_policy import policy_of_training, read_tuned


def export_run(
    run_path: str | pathlib.Path,
    *,
    stage: str | None = None,
    target: Target | None = None,
    tuned: bool = True,
    changes: Mapping[str, Any] | None = None,
    parity_steps: int = 10,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Exports the model that a run trained.

    Args:
        run_path: the run directory.
        stage: name of the stage whose model is taken; None for the last one.
        target: how it is to train; batch, client optimizer and policy are the run's.
        tuned: take the policy that `fedp tune` chose, if it ever did.
        changes: fields of the policy that are to be others.
        parity_steps: training steps compared with TensorFlow.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        RunError: no such run or stage, or the stage is not finished.
        ExportError: see `export_model`.
    """
    run = load_run(run_path)
    record, config = run.record, run.config
    weights = run.weights(stage)
    model = build_model(
        config.model,
        record.input_shape,
        len(record.classes),
        label_shape=record.label_shape,
    )
    model.set_weights(weights)
    stage = stage or config.stages[-1].name
    names = [s.name for s in config.stages]
    done = config.stages[: names.index(stage) + 1]
    target = target or Target()
    cost = {}
    if target.initial_weights == "float16":
        cost = _cost(model, run, report)
    policy, origin = _policy(run, stage, tuned, changes or {})
    momentum = config.client_optimizer == "momentum"
    settings = {"momentum": config.client_momentum} if momentum else {}
    return export_model(
        model,
        name=config.model,
        classes=record.classes,
        # Stage 3 of Algorithm 2: the same client optimizer as in training.
        target=dataclasses.replace(
            target,
            batch_size=config.batch_size,
            client_optimizer=config.client_optimizer,
            optimizer_settings=settings,
            policy=policy,
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
            "policy": origin,
            **cost,
        },
        parity_steps=parity_steps,
        seed=seed,
        report=report,
    )


def _policy(
    run: Run, stage: str, tuned: bool, changes: Mapping[str, Any]
) -> tuple[contract.Policy, str]:
    """The policy, and where it comes from in words."""
    found = read_tuned(run, stage) if tuned else None
    policy = policy_of_training(run.config) if found is None else found.policy
    origin = "of the training, not tuned" if found is None else str(found)
    if changes:
        fields = ", ".join(f"{name} {value}" for name, value in changes.items())
        origin += f"; then set by hand: {fields}"
    return dataclasses.replace(policy, **changes), origin


def _cost(
    model: tf.keras.Model, run: Run, report: Callable[[str], None]
) -> dict[str, Any]:
    """Tells what float16 costs, for people and for the manifest's provenance."""
    try:
        cost = rounding_cost(model, run)
    except FedpError as error:
        report(f"what float16 costs in accuracy is not known here: {error}")
        return {}
    report(str(cost))
    return {"float16": dataclasses.asdict(cost)}
