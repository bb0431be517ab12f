"""`fedp evaluate`: from an artifact and a data set to a report directory."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import fedp
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.signing import PublicKey
from fedp.training.data import choose_clients, open_data
from fedp.training.evaluation.clients import ClientJob
from fedp.training.evaluation.completing import complete, open_workers
from fedp.training.evaluation.figures import plotly_objects
from fedp.training.evaluation.files import make_directory
from fedp.training.evaluation.fitting import (
    check_fit,
    check_labels,
    client_split,
    trained_on,
)
from fedp.training.evaluation.report import write_report
from fedp.training.evaluation.results import ClientResult, write_clients_csv
from fedp.training.evaluation.summary import (
    Summary,
    summary_of,
    write_summary_json,
)
from fedp.training.evaluation.tally import Tally
from fedp.training.evaluation.unfinished import StoredResults, open_unfinished
from fedp.training.evaluation.workers import OnResult
from fedp.training.evaluation.worst import mistakes_of, worst_of


def evaluate(
    artifact: pathlib.Path,
    data_spec: str,
    clients: str,
    report_dir: pathlib.Path,
    *,
    interpreter: str | None = None,
    seed: int = 0,
    max_examples: int | None = None,
    seen_clients: bool = False,
    new_clients: bool = False,
    processes: int = 2,
    engine: str = "local",
    ray_address: str | None = None,
    public_key: PublicKey | None = None,
    on_result: OnResult[ClientResult] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Summary:
    """Evaluates chosen clients and writes clients.csv, summary.json and report.html.

    Results are on disk as soon as they are known: with the same settings, what a
    killed call has done into this directory is not done again.

    Args:
        artifact: the file that `fedp export` wrote.
        data_spec: the data set, as `open_data` takes it.
        clients: "test", "validation", "train", "all", or names with commas between.
        report_dir: created if need be; files in it are replaced when all is measured.
        interpreter: "ai_edge_litert" or "tflite_runtime"; by default the fastest one.
        seed: of the clients' splits, the hold-outs and the adaptations.
        max_examples: most examples a client; None for all.
        seen_clients: training clients may be chosen.
        new_clients: no client of this data set was trained on, whatever its name.
        processes: workers with one interpreter thread each, of the engine "local".
        engine: "local", or "ray": a task a client, with the same results.
        ray_address: HOST:PORT of a Ray cluster's head; None starts one.
        public_key: of whoever must have signed the artifact; None takes any.
        on_result: told of each result as it comes; those of an earlier call count as
            done.
        say: is told what is being done, once that is certain to begin.

    Raises:
        FedpError: artifact, data or clients cannot be used, a worker died, a file
            cannot be written, or a package is missing; older reports are unchanged.
    """
    # What can fail at once must not fail after minutes of work.
    plotly_objects()
    manifest, _ = read_artifact(artifact, public_key)
    check_labels(artifact, manifest)
    with Personalizer.open(
        artifact, interpreter=interpreter, public_key=public_key
    ) as device:
        interpreter = device.interpreter
    split = client_split(artifact, manifest)
    # The same seed as in training: it draws synthetic writers and capped examples.
    data_seed = 0 if split is None else split.seed
    opened = open_data(data_spec, max_examples=max_examples, seed=data_seed)
    with contextlib.closing(opened) as data:
        check_fit(data, manifest)
        fingerprint = data.fingerprint
        chosen = choose_clients(
            data.clients(),
            split,
            clients,
            trained_on(data, manifest),
            seen_clients=seen_clients,
            new_clients=new_clients,
        )
    seen: int | None = 0
    if not new_clients:
        seen = None if split is None else len(split.select(chosen, "train"))
    make_directory(report_dir)
    started = time.monotonic()
    job = ClientJob(
        artifact,
        data_spec,
        interpreter,
        seed,
        data_seed,
        max_examples,
        public_key,
        fingerprint=fingerprint,
        sha256=manifest.sha256,
    )
    with open_unfinished(report_dir, _rest_on(job)) as unfinished:
        before = sum(client in unfinished for client in chosen)
        done = f", {before} of them done before" if before else ""
        say(f"evaluating {len(chosen)} clients of {data.name} on {interpreter}{done}")
        log = report_dir / "ray.log"
        with open_workers(engine, processes, ray_address, log) as arriving:
            complete(unfinished, chosen, job, arriving, on_result)
        results = StoredResults(unfinished, chosen)
        tally = Tally(results)
        summary = summary_of(tally)
        worst = [chosen[number] for number in worst_of(tally.columns)]
        mistakes = mistakes_of(job, worst)
        facts = {
            "artifact": str(artifact),
            "data set": data.name,
            "clients": clients,
            "--seen-clients": seen_clients,
            "--new-clients": new_clients,
            "clients trained on": (
                "unknown" if split is None else f"{seen} of {len(chosen)}"
            ),
            "most examples a client": max_examples or "all",
            "test part": "the data set's own, or half of a client's examples",
            "interpreter": interpreter,
            "signature checked": public_key is not None,
            "seed": seed,
            "engine": engine,
            "processes": processes if engine == "local" else "the cluster's",
            "seconds": round(time.monotonic() - started, 1),
            "clients done by an earlier call": before,
            "fedp": fedp.__version__,
            **_origin(manifest),
        }
        write_clients_csv(report_dir / "clients.csv", results)
        write_summary_json(report_dir / "summary.json", summary, facts)
        write_report(
            report_dir / "report.html", summary, results, facts, seen, mistakes
        )
        unfinished.remove()
    return summary


def _rest_on(job: ClientJob) -> dict[str, Any]:
    """What a client's result depends on, beside the client."""
    names = ("sha256", "fingerprint", "interpreter", "seed", "data_seed")
    return {
        "fedp": fedp.__version__,
        "data": job.data_spec,
        "max_examples": job.max_examples,
        **{name: getattr(job, name) for name in names},
    }


def _origin(manifest: Manifest) -> dict[str, Any]:
    """What the artifact says about itself."""
    return {
        "artifact SHA-256": manifest.sha256,
        "model": manifest.model,
        "client optimizer": manifest.client_optimizer,
        "batch size": manifest.batch_size,
        "policy": dataclasses.asdict(manifest.policy),
        "client split": manifest.client_split,
        "provenance": manifest.provenance,
        "parity": manifest.parity,
    }
