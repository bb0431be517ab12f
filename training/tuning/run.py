"""`fedp tune`: from a run to the policy that its exports will carry."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import CONTRACT_VERSION, Manifest, Policy
from fedp.device_runtime.errors import DataError, RunError
from fedp.device_runtime.interpreter import available_interpreters
from fedp.training.data import open_data
from fedp.training.evaluation.figures import plotly_objects
from fedp.training.evaluation.files import make_directory, replace_text
from fedp.training.evaluation.workers import OnResult, evaluate_on
from fedp.training.run_directory import Run, load_run, locked
from fedp.training.tuned_policy import (
    TunedPolicy,
    policy_of_training,
    weights_hash,
    write_tuned,
)
from fedp.training.tuning.adaptations import AdaptationJob, Task
from fedp.training.tuning.artifacts import artifacts_for
from fedp.training.tuning.choice import Choice, Row, choose, tabulate, with_remarks
from fedp.training.tuning.grid import Grid, GridError
from fedp.training.tuning.page import write_page
from fedp.training.tuning.records import ClientRecord, RecordFile
from fedp.training.tuning.table import write_table_csv, write_table_json

FOLDER = "tuning"
CLIENTS = 50


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What a tuning found.

    Attributes:
        choice: the policy that was written into the run.
        rows: one a policy of the grid.
        untuned: the training's own policy on the same clients, if the grid has it.
        sizes: numbers that train, by `Policy.trainable`.
        max_hurt: largest share of hurt clients that was allowed.
        report: directory of the page and the tables.
    """

    choice: Choice
    rows: list[Row]
    untuned: Row | None
    sizes: dict[str, int]
    max_hurt: float
    report: pathlib.Path


def tune(
    run_path: str | pathlib.Path,
    *,
    stage: str | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    max_hurt: float = 0.1,
    clients_limit: int = CLIENTS,
    max_examples: int | None = None,
    interpreter: str | None = None,
    processes: int = 2,
    seed: int = 0,
    report_dir: pathlib.Path | None = None,
    on_result: OnResult[ClientRecord] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Chooses a run's policy on its validation clients, and writes it into the run.

    Adaptations that an earlier call has done, be it one that was killed, are not done
    again.

    Args:
        run_path: a finished run.
        stage: whose model is taken; None for the last one.
        grid: values of fields of `Policy` to try, in place of `Grid.around`'s.
        max_hurt: largest share of hurt clients after the guard, 0..1.
        clients_limit: most validation clients.
        max_examples: most examples a client; None for what the run trained with.
        interpreter: "ai_edge_litert" or "tflite_runtime"; by default the fastest one.
        processes: workers with one interpreter thread each.
        seed: of the clients drawn, their splits, trials and adaptations.
        report_dir: where page and tables go; by default into the run.
        on_result: told of each adaptation of a client as it is done.
        report: is told what is being done, a line each.

    Raises:
        FedpError: run, data or grid cannot be used, a worker died, a file cannot be
            written, or a package is missing.
    """
    plotly_objects()  # What can fail at once must not fail after minutes of work.
    run = load_run(run_path)
    base = policy_of_training(run.config)
    plan = Grid.around(base, **(grid or {}))
    if not 0 <= max_hurt <= 1:
        raise GridError(f"max hurt {max_hurt} is out of range; allowed is 0 to 1")
    setting = _setting(run, stage, max_examples, interpreter, seed)
    names = _clients(run, clients_limit, seed)
    folder = report_dir or run.path / FOLDER
    make_directory(folder)
    started = time.monotonic()
    with locked(run):
        place = _place(run, setting)
        manifests, rows = _measure(
            run, setting, plan, names, place, processes, on_result, report
        )
        sizes = {part: _trained(manifest) for part, manifest in manifests.items()}
        choice = with_remarks(choose(rows, max_hurt, sizes), plan, max_hurt)
        untuned = next((row for row in rows if row.policy == base), None)
        tuning = Tuning(choice, rows, untuned, sizes, max_hurt, folder)
        facts = {
            "run": str(run.path),
            "stage": setting.stage,
            "data set": run.record.data_name,
            "validation clients": len(names),
            "most examples a client": setting.max_examples or "all",
            "test part": "the data set's own, or half of a client's examples",
            "interpreter": setting.interpreter,
            "seed": seed,
            "processes": processes,
            "seconds": round(time.monotonic() - started, 1),
            "grid": {name: list(values) for name, values in plan.values.items()},
        }
        _write(run, tuning, plan, setting, facts, names)
    return tuning


@dataclasses.dataclass(frozen=True)
class _Setting:
    """All that records of adaptations rest on, beside policy and client.

    Attributes:
        stage: whose model is taken.
        weights: hash of that model.
        max_examples: most examples a client; None for all.
        interpreter: kind of interpreter.
        seed: of splits, trials and adaptations.
        others: what the run fixes, and this release.
    """

    stage: str
    weights: str
    max_examples: int | None
    interpreter: str | None
    seed: int
    others: dict[str, Any]


def _setting(
    run: Run,
    stage: str | None,
    max_examples: int | None,
    interpreter: str | None,
    seed: int,
) -> _Setting:
    from fedp.export.lowering.table import TABLE_VERSION  # brings TensorFlow

    config = run.config
    stage = stage or config.stages[-1].name
    return _Setting(
        stage=stage,
        weights=weights_hash(run.weights(stage)),
        max_examples=max_examples or config.max_examples,
        interpreter=interpreter or next(iter(available_interpreters()), None),
        seed=seed,
        others={
            "data": run.record.fingerprint,
            "optimizer": [config.client_optimizer, config.client_momentum],
            "batch_size": config.batch_size,
            "fedp": [importlib.metadata.version("fedp"), CONTRACT_VERSION],
            "lowering": TABLE_VERSION,
        },
    )


def _measure(
    run: Run,
    setting: _Setting,
    plan: Grid,
    names: Sequence[str],
    place: pathlib.Path,
    processes: int,
    on_result: OnResult[ClientRecord] | None,
    report: Callable[[str], None],
) -> tuple[dict[str, Manifest], list[Row]]:
    """Exports, adapts what is not on record yet, and judges every policy."""
    parts = plan.values["trainable"]
    artifacts = artifacts_for(
        run.path, setting.stage, parts, place, setting.seed, report
    )
    manifests = {part: read_artifact(path)[0] for part, path in artifacts.items()}
    job = AdaptationJob(
        artifacts,
        run.config.data,
        run.config.split_seed,
        setting.max_examples,
        setting.interpreter,
        setting.seed,
        plan.candidates(),
    )
    records = RecordFile(place / "adaptations.jsonl")
    with contextlib.closing(records):
        _adapt(job, plan, names, records, processes, on_result, report)
        rows = tabulate(plan, lambda p: [_known(records, p, n) for n in names])
    return manifests, rows


def _write(
    run: Run,
    tuning: Tuning,
    plan: Grid,
    setting: _Setting,
    facts: dict[str, Any],
    names: Sequence[str],
) -> None:
    """Tables and page, and last the choice, which exports then take."""
    choice, folder = tuning.choice, tuning.report
    write_table_csv(folder / "tuning.csv", tuning.rows)
    write_table_json(folder / "tuning.json", choice, tuning.rows, tuning.untuned, facts)
    write_page(folder / "tuning.html", tuning, plan, facts)
    how = {
        **facts,
        "clients": list(names),
        "result": _result(choice.row),
        "remarks": list(choice.remarks),
    }
    tuned = TunedPolicy(
        policy=choice.row.policy,
        stage=setting.stage,
        weights=setting.weights,
        clients=len(names),
        max_hurt=tuning.max_hurt,
        met=choice.met,
        how=how,
    )
    write_tuned(run, tuned)


def _clients(run: Run, limit: int, seed: int) -> list[str]:
    """Validation clients, sorted; all of them, or drawn at random."""
    config = run.config
    # As the training opened it.
    opened = open_data(
        config.data, max_examples=config.max_examples, seed=config.split_seed
    )
    with contextlib.closing(opened) as data:
        if data.fingerprint != run.record.fingerprint:
            raise RunError(
                f"the data set {config.data} is not the one that run {run.path} "
                "was trained on, so its clients might have been: bring the data back, "
                "or train again"
            )
        random = np.random.default_rng(seed)
        names = run.record.split.sample_up_to(
            data.clients(), "validation", limit, random
        )
    if not names:
        raise DataError(
            f"{run.record.data_name} has no validation client: train with a larger "
            "--validation"
        )
    return sorted(names)


def _place(run: Run, setting: _Setting) -> pathlib.Path:
    """Folder of what holds for one setting alone."""
    text = json.dumps(dataclasses.asdict(setting), sort_keys=True)
    place = run.path / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:12]
    make_directory(place)
    replace_text(place / "setting.json", text + "\n")
    return place


def _adapt(
    job: AdaptationJob,
    plan: Grid,
    names: Sequence[str],
    records: RecordFile,
    processes: int,
    on_result: OnResult[ClientRecord] | None,
    report: Callable[[str], None],
) -> None:
    """Does what is not on record yet."""
    wanted = set(job.candidates)
    every = [Task(policy, name) for name in names for policy in plan.adaptations()]
    todo = []
    for task in every:
        record = records.get(*task)
        if record is None or not wanted <= set(record.after):
            todo.append(task)
    known = len(every) - len(todo)
    report(
        f"{len(every)} adaptations of {len(names)} validation clients"
        + (f", {known} of them known from before" if known else "")
    )

    def keep(done: int, total: int, record: ClientRecord) -> None:
        records.add(record)
        if on_result:
            on_result(done, total, record)

    evaluate_on(processes, job, todo, keep)


def _known(records: RecordFile, policy: Policy, name: str) -> ClientRecord:
    record = records.get(policy, name)
    assert record is not None
    return record


def _trained(manifest: Manifest) -> int:
    return sum(math.prod(weight.shape) for weight in manifest.weights)


def _result(row: Row) -> dict[str, Any]:
    fields = dataclasses.asdict(row)
    del fields["policy"]
    return fields
