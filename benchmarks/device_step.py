"""A training step and an inference on a device: fedp beside every peer installed.

    python benchmarks/device_step.py [--models all] [--python pytorch=OTHER/bin/python]

SGD in batches of 20, float32, one thread of one core. Exits with 1 if a row fails, or
does not train to the losses, or infer the probabilities, of native TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
from typing import Any

import table
from device import report
from device.layers import MODELS
from device.peer import Peer, all_peers
from device.process import Python
from device.rounds import Row, measure, prepare
from device.work import BATCH_SIZE, INFERENCES, write_work
from row import others_busy

# Small enough that 20 steps amplify no rounding, and large enough that a weight tensor
# left out shows in their losses.
_LEARNING_RATE = 0.01
_CHECKED_STEPS = 20
_WARM_CALLS = 5
_MEMORY_GOAL = 85e6  # bytes, of the whole process that trains `emnist_cnn` on LiteRT


def main() -> int:
    """Measures, prints the tables, and returns the exit code."""
    given = _options()
    models = list(MODELS) if "all" in given.models else given.models
    faults, tables = [], []
    for model in models:
        with tempfile.TemporaryDirectory(prefix="device-step-") as folder:
            for found, wrong in _tables(given, model, pathlib.Path(folder)):
                tables.append(found)
                faults += wrong
    found = {"benchmark": "device_step", "machine": table.machine(), "tables": tables}
    return table.finish(faults, found, given.json)


def _tables(
    given: argparse.Namespace, model: str, folder: pathlib.Path
) -> list[tuple[dict[str, Any], list[str]]]:
    """Runs one model's tasks and prints a table for each, with the JSON and faults."""
    write_work(folder, model, _LEARNING_RATE, given.seed)
    rows = _rows(given)
    prepare([row for row in rows if _tasks(given, row)], folder)
    results = []
    for task in given.tasks:
        training = task == "train"
        # A fresh process for each task: memory is the training's alone.
        here = [
            Row(row.key, row.peer, row.python, row.installed, row.failure)
            for row in rows
            if task in _tasks(given, row)
        ]
        busy = others_busy()
        measure(
            here,
            folder,
            task,
            _title(model, task),
            core=given.core,
            check=_CHECKED_STEPS if training else 1,
            rounds=given.rounds,
            warm=_WARM_CALLS,
            calls=given.steps,
        )
        busy = max(busy, others_busy())
        judged = report.judge(here, training)
        title = _title(model, task)
        conditions = table.conditions(given.rounds, busy)
        heading = f"{title}; rounds of {given.steps}, {conditions}"
        report.show(heading, here, judged, training)
        if training and model == "emnist_cnn":
            _say_memory(judged)
        found = {"model": model, "task": task, "rows": report.as_json(here, judged)}
        results.append((found, report.faults(title, here, judged)))
    return results


def _tasks(given: argparse.Namespace, row: Row) -> list[str]:
    """Those of the tasks asked for that a peer has a part in."""
    trains, infers = row.peer.train is not None, row.peer.predict is not None
    return [task for task in given.tasks if (trains if task == "train" else infers)]


def _title(model: str, task: str) -> str:
    if task == "train":
        return f"{model}: a training step, batch {BATCH_SIZE}"
    return f"{model}: an inference, batch {task}"


def _say_memory(judged: report.Judged) -> None:
    if row := judged.right.get("fedp_litert"):
        met = "met" if row.peak_bytes <= _MEMORY_GOAL else "MISSED"
        print(
            f"peak of the process that trains with {row.peer.name}: "
            f"{row.peak_bytes / 1e6:.0f} MB; the goal of {_MEMORY_GOAL / 1e6:.0f} MB "
            f"is {met}"
        )


def _rows(given: argparse.Namespace) -> list[Row]:
    rows = []
    for key, peer in all_peers().items():
        if key in given.peers or key == report.REFERENCE:
            python = given.python.get(key, Python())
            rows.append(Row(key, peer, python, python.installed(peer)))
    return rows


def _options() -> argparse.Namespace:
    peers: dict[str, Peer] = all_peers()
    tasks = ["train", *map(str, INFERENCES)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        *("--models", "--model"),
        nargs="+",
        choices=[*MODELS, "all"],
        default=["emnist_cnn"],
        help="emnist_cnn by default",
    )
    add("--peers", nargs="+", choices=list(peers), default=list(peers))
    add(
        "--python",
        type=_peer_and_python,
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="the Python that a peer is installed in, if it is another one",
    )
    add(
        "--tasks", nargs="+", choices=tasks, default=tasks, help="train, or batch sizes"
    )
    add("--rounds", type=int, default=9)
    add("--steps", type=int, default=30, help="timed ones of a row in a round")
    add("--core", type=int, default=max(os.sched_getaffinity(0)))
    add("--seed", type=int, default=0, help="of weights and batches")
    add("--json", type=pathlib.Path, help="file to write everything to")
    given = parser.parse_args()
    given.python = dict(given.python)
    if unknown := given.python.keys() - peers.keys():
        parser.error(
            f"--python: no peer {sorted(unknown)}; there are {', '.join(peers)}"
        )
    return given


def _peer_and_python(text: str) -> tuple[str, Python]:
    peer, _, path = text.partition("=")
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r} is not PEER=PATH of a Python")
    return peer, Python(path, ours=False)


if __name__ == "__main__":
    sys.exit(main())
