"""Rounds a second and driver memory against clients a round and population size.

    python benchmarks/scaling.py [--engines local ray] [--clients 5 20 100]
        [--populations 1000 10000 100000 1000000] [--rounds 20] [--json FILE]

Whole runs of `train` on generated clients, each in a process of its own. Exits with 1
if memory or a round's time grows with the population.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import pathlib
import pickle
import statistics
import sys
import tempfile
from typing import Any, NamedTuple

import table
from row import others_busy, run_and_leave_nothing

MODEL, EXAMPLES = "mlp", 20
WARM = 3  # rounds that start workers and read TensorFlow
# Of the largest population over the smallest: noise, not growth.
_MOST_MEMORY, _MOST_TIME = 1.1, 1.5


class Cell(NamedTuple):
    """One run.

    Attributes:
        engine: of fedp.
        clients: a round.
        population: how many clients there are.
    """

    engine: str
    clients: int
    population: int


class Measured(NamedTuple):
    """What it took.

    Attributes:
        rounds_per_second: from the median round.
        memory_mb: most that the driver's process had in memory.
        start_seconds: of the first round: data, workers, TensorFlow.
    """

    rounds_per_second: float
    memory_mb: float
    start_seconds: float


def main() -> int:
    """Measures every cell, prints the tables, and returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--engines", nargs="+", default=["local", "ray"])
    add("--clients", type=int, nargs="+", default=[5, 20, 100], help="a round")
    add("--populations", type=int, nargs="+", default=[10**n for n in range(3, 7)])
    add("--rounds", type=int, default=20, help=f"the first {WARM} are not counted")
    add("--json", type=pathlib.Path, help="file to write everything to")
    add("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        engine, clients, population, reply = given.one
        cell = Cell(engine, int(clients), int(population))
        pathlib.Path(reply).write_text(json.dumps(run(cell, given.rounds)))
        return 0
    results: dict[Cell, Measured] = {}
    busiest = 0.0
    grid = itertools.product(given.engines, given.clients, given.populations)
    for cell in itertools.starmap(Cell, grid):
        busiest = max(busiest, others_busy())
        results[cell] = in_a_process(cell, given.rounds)
        print(f"{cell}: {results[cell]}", file=sys.stderr)
    print(
        f"{MODEL}, {EXAMPLES} examples a client at most, one epoch, median of "
        f"{given.rounds - WARM} rounds; {table.machine()}, of which others used up to "
        f"{busiest:.0%} before a run\n"
    )
    show(results)
    sizes = moved()
    show_sizes(sizes)
    report = {
        "machine": table.machine(),
        "others_busy": busiest,
        "cells": [{**c._asdict(), **m._asdict()} for c, m in results.items()],
        "bytes": sizes,
    }
    return table.finish(growing(results), report, given.json)


def in_a_process(cell: Cell, rounds: int) -> Measured:
    """Runs a cell where nothing else has been in memory before."""
    with tempfile.TemporaryDirectory() as folder:
        reply = pathlib.Path(folder, "measured")
        command = [sys.executable, __file__, "--rounds", str(rounds), "--one"]
        said = run_and_leave_nothing([*command, *map(str, cell), str(reply)])
        if not reply.exists():
            raise SystemExit(f"{cell} failed:\n{said}")
        return Measured(*json.loads(reply.read_text()))


def run(cell: Cell, rounds: int) -> Measured:
    """Trains as `fedp train` does."""
    from fedp.training.configuration import Stage, TrainingConfig
    from fedp.training.loop import train

    config = TrainingConfig(
        data=f"synthetic:{cell.population}",
        model=MODEL,
        stages=(Stage("s", "fedavg", rounds, local_epochs=1),),
        clients_per_round=cell.clients,
        max_examples=EXAMPLES,
        engine=cell.engine,
        eval_every=0,
        eval_clients=1,
        checkpoint_every=rounds,
    )
    with tempfile.TemporaryDirectory() as folder:
        finished = train(config, pathlib.Path(folder, "run"))
        with open(finished.path / "metrics.csv", newline="") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        memory = finished.record.peak_memory_mb
    return Measured(1 / statistics.median(seconds[WARM:]), memory, seconds[0])


def show(results: dict[Cell, Measured]) -> None:
    """Prints a line for each engine and M, a column for each population."""
    populations = sorted({cell.population for cell in results})
    columns = " | ".join(f"{population:,} clients" for population in populations)
    print(f"| engine | clients a round | {columns} |")
    print("|---" * (2 + len(populations)) + "|")
    for engine, clients in dict.fromkeys(cell[:2] for cell in results):
        row = [results[Cell(engine, clients, each)] for each in populations]
        cells = (f"{m.rounds_per_second:.1f}/s, {m.memory_mb:.0f} MB" for m in row)
        print(f"| {engine} | {clients} | {' | '.join(cells)} |")


def growing(results: dict[Cell, Measured]) -> list[str]:
    """Where the largest population costs more than the smallest."""
    faults = []
    for engine, clients in dict.fromkeys(cell[:2] for cell in results):
        row = [
            m for cell, m in sorted(results.items()) if cell[:2] == (engine, clients)
        ]
        small, large = row[0], row[-1]
        memory = large.memory_mb / small.memory_mb
        time = small.rounds_per_second / large.rounds_per_second
        for what, ratio, most in (
            ("memory", memory, _MOST_MEMORY),
            ("a round's time", time, _MOST_TIME),
        ):
            if ratio > most:
                faults.append(
                    f"{engine}, {clients} clients a round: {what} with the largest "
                    f"population is {ratio:.2f} times that with the smallest"
                )
    return faults


def moved() -> dict[str, dict[str, int]]:
    """Bytes of what the engine ray hands around, for two models."""
    return {name: _moved(name) for name in (MODEL, "emnist_cnn")}


def _moved(name: str) -> dict[str, int]:
    import numpy as np

    from fedp.training.algorithms import algorithm_of
    from fedp.training.client_optimizers import sgd
    from fedp.training.configuration import Stage, TrainingConfig
    from fedp.training.engines.contract import ClientType
    from fedp.training.engines.map_reduce import MapReduce
    from fedp.training.engines.ray_task import ShardResult
    from fedp.training.federated import (
        aggregation_of,
        build_process,
        server_optimizer_of,
    )
    from fedp.training.models import build_model
    from fedp.training.sampling import Participant

    stage, model = Stage("s", "fedavg", 1), build_model(name, (28, 28), 62, seed=0)
    functions = build_process(
        model,
        ClientType(np.dtype(np.uint8), (28, 28)),
        algorithm=algorithm_of(stage),
        batch_size=20,
        client_optimizer=sgd(0.02),
        server_optimizer=server_optimizer_of(stage),
        aggregation=aggregation_of(stage, 5),
    ).functions()
    server = MapReduce(functions)
    participants = [
        Participant(f"writer-{i:07d}", np.zeros(2, np.int32)) for i in range(101)
    ]
    return {
        "functions": _size(functions),
        "broadcast": _size(server.prepare(server.initial(model.get_weights()))),
        "result": _size(ShardResult(server.total(), {})),
        "task": _size((TrainingConfig("synthetic"), participants[:1])),
        "client": (_size(participants) - _size(participants[:1])) // 100,
    }


def _size(value: Any) -> int:
    return len(pickle.dumps(value, protocol=5))


def show_sizes(sizes: dict[str, dict[str, int]]) -> None:
    """Prints a line for each model."""
    names = list(next(iter(sizes.values())))
    print(f"\n| bytes | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    for model, row in sizes.items():
        print(f"| {model} | {' | '.join(f'{row[name]:,}' for name in names)} |")


if __name__ == "__main__":
    sys.exit(main())
