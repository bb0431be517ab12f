"""From nothing to the first answer, beside the interpreter's own cold start.

    make device-artifacts
    python benchmarks/cold_start.py [--models emnist_cnn mlp] [--rounds 15]

Every run is a fresh process, timed from its start to its first answer; rows take turns,
and differences are taken within a round. Processor time, of the whole process, says
little less where others use the machine. Exits with 1 if a row is more than 0.25 s
slower than its bound.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import device_artifacts
import numpy as np
import table
from row import others_busy

from fedp.device_runtime import Personalizer, available_interpreters

_GOAL = 0.25  # seconds beyond the bound
_ATTEMPTS = 5  # to personalize a model that the guard lets live

# Both answer once and then say so; ours also when each part was done.
_BOUND = """
import sys
import numpy as np
from {kind}.interpreter import Interpreter
content = open(sys.argv[1], "rb").read()
interpreter = Interpreter(model_content=content, num_threads=1)
interpreter.get_signature_runner("infer")(x=np.zeros((1, 28, 28, 1), np.float32))
print("answered", flush=True)
"""
_OURS = """
import sys, time
began = time.perf_counter()
import numpy as np
from fedp.device_runtime import Personalizer
imported = time.perf_counter()
personalizer = Personalizer.open(sys.argv[1], sys.argv[2] or None, interpreter="{kind}")
opened = time.perf_counter()
personalizer.predict(np.zeros((1, 28, 28, 1), np.float32))
answered = time.perf_counter()
print(imported - began, opened - imported, answered - opened, flush=True)
"""
_PARTS = ("import", "open", "predict")


def main() -> int:
    """Measures, prints the tables, and returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    device_artifacts.add_options(parser)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="that runs the rows")
    parser.add_argument("--json", type=pathlib.Path, help="file for all numbers")
    given = parser.parse_args()
    faults, tables = [], []
    for artifact in device_artifacts.chosen(given):
        for kind in available_interpreters():
            with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
                found = measure(given, artifact, kind, pathlib.Path(folder))
            faults += show(found, given.rounds)
            tables.append(found)
    found = {"benchmark": "cold_start", "machine": table.machine(), "tables": tables}
    return table.finish(faults, found, given.json)


def measure(
    given: argparse.Namespace, artifact: pathlib.Path, kind: str, folder: pathlib.Path
) -> dict[str, Any]:
    """Times every row in every round, after a round that warms the page cache."""
    personalize(artifact, folder / "personalized", kind)
    states = {
        "no state_dir": "",
        "new state_dir": folder / "new",
        "personalized state": folder / "personalized",
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("bound", *states)}
    processor: dict[str, list[float]] = {name: [] for name in seconds}
    parts: dict[str, list[list[float]]] = {name: [] for name in states}
    names, busy = list(seconds), others_busy()
    for number in range(given.rounds + 1):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            shutil.rmtree(folder / "new", ignore_errors=True)
            code = (_BOUND if name == "bound" else _OURS).format(kind=kind)
            command = [given.python, "-W", "ignore", "-c", code]
            command += [str(artifact), str(states.get(name, ""))]
            found, used, said = first_line(command)
            if number:
                seconds[name].append(found)
                processor[name].append(used)
                if name in parts:
                    parts[name].append([float(part) for part in said.split()])
    return {
        "model": artifact.stem,
        "interpreter": kind,
        "others_busy": max(busy, others_busy()),
        "seconds": seconds,
        "processor_seconds": processor,
        "parts": parts,
    }


def first_line(command: list[str]) -> tuple[float, float, str]:
    """Seconds from a process's start to its first line; its processor's; the line."""
    began = time.perf_counter()
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe)
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        line = process.stdout.readline()
        found = time.perf_counter() - began
        said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a row failed: {said}")
    return found, used.ru_utime + used.ru_stime, line


def personalize(artifact: pathlib.Path, state: pathlib.Path, kind: str) -> None:
    """Leaves a state whose live model is a personalized one."""
    x, y = device_artifacts.examples(80)
    with Personalizer.open(artifact, state, interpreter=kind) as personalizer:
        for seed in range(_ATTEMPTS):
            personalizer.personalize(x, y, seed=seed)
            if personalizer.status().live != "initial":
                return
    raise SystemExit(f"{artifact}: the guard kept no adaptation")


def show(found: dict[str, Any], rounds: int) -> list[str]:
    """Prints a table; returns the rows that miss the goal."""
    title = f"{found['model']} on {found['interpreter']}"
    print(f"\n{title}; seconds, {table.conditions(rounds, found['others_busy'])}")
    faults, bound = [], found["seconds"]["bound"]
    used = {n: statistics.median(s) for n, s in found["processor_seconds"].items()}
    print(f"{'bound':20}{table.spread(bound, '.3f')}; processor {used['bound']:.3f}")
    for name, parts in found["parts"].items():
        seconds = found["seconds"][name]
        more = [a - b for a, b in zip(seconds, bound, strict=True)]
        medians = np.median(parts, axis=0)
        where = ", ".join(f"{p} {s:.3f}" for p, s in zip(_PARTS, medians, strict=True))
        print(
            f"{name:20}{table.spread(seconds, '.3f')}, beyond the bound "
            f"{table.spread(more, '.3f')} ({where}); processor {used[name]:.3f}"
        )
        if not statistics.median(more) <= _GOAL:
            faults.append(f"{title}, {name}: more than {_GOAL} s beyond the bound")
    return faults


if __name__ == "__main__":
    sys.exit(main())
