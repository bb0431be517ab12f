"""p50 and p99 of `predict`, with and without an adaptation; beside bare interpreters.

    make device-artifacts
    python benchmarks/device_latency.py [--models emnist_cnn mlp] [--rounds 5]

Ours: threads of an app call `predict`, and one more `personalize`, over and over. The
bound: each calls a bare interpreter of its own, the baked model's signature or the
artifact's `train`; what Python's lock and the cores cost, they cost there too. Exits
with 1 if an answer was of neither the model before a switch nor the one after it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import device_artifacts
import numpy as np
import table
from row import others_busy

from fedp.device_runtime import Personalizer, available_interpreters

_WARM_CALLS = 20
_EXAMPLES = 100
_ROWS = ("ours", "bound")

Predict = Callable[[np.ndarray], np.ndarray]


class Case(NamedTuple):
    """One table."""

    artifact: pathlib.Path
    interpreter: str
    threads: int  # of an interpreter
    callers: int  # threads that predict


class Side(NamedTuple):
    """One of the two rows: what predicts, one a caller, and what adapts meanwhile."""

    predict: list[Predict]
    adapt: Callable[[], object]


def main() -> int:
    """Measures, prints the tables, and returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    device_artifacts.add_options(parser)
    add = parser.add_argument
    add("--interpreters", nargs="+", default=list(available_interpreters()))
    add("--threads", type=int, nargs="+", default=[1, 2], help="of an interpreter")
    add("--callers", type=int, nargs="+", default=[1, 2], help="threads that predict")
    add("--rounds", type=int, default=5)
    add("--calls", type=int, default=500, help="of a caller in a round")
    add("--pause", type=float, default=0.002, help="seconds between a caller's calls")
    add("--json", type=pathlib.Path, help="file for all numbers")
    given = parser.parse_args()
    faults, tables = [], []
    for case in itertools.product(
        device_artifacts.chosen(given), given.interpreters, given.threads, given.callers
    ):
        found, wrong = measure(Case(*case), given)
        tables.append(found)
        faults += wrong
    found = {"benchmark": "device_latency", "machine": table.machine()}
    return table.finish(faults, {**found, "tables": tables}, given.json)


def measure(case: Case, given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Measures both rows in turns and prints their table."""
    x, y = device_artifacts.examples(_EXAMPLES)
    one = x[:1, ..., None].astype(np.float32) / 255
    busy = others_busy()
    # Milliseconds [rounds, (p50, p99)], by the row and whether an adaptation runs.
    found: dict[str, dict[bool, list[list[float]]]]
    found = {row: {False: [], True: []} for row in _ROWS}
    with Personalizer.open(
        case.artifact, interpreter=case.interpreter, threads=case.threads
    ) as personalizer:
        sides = {
            "ours": Side(
                [personalizer.predict] * case.callers,
                lambda: personalizer.personalize(x, y),
            ),
            "bound": bound(case, personalizer, x, y),
        }
        personalizer.predict(one)
        answers = set()
        for number in range(given.rounds):
            for row in _ROWS if number % 2 else reversed(_ROWS):
                for adapting in (False, True):
                    side = sides[row]
                    with running(side.adapt) if adapting else contextlib.nullcontext():
                        seconds, said = latencies(side.predict, one, given)
                    shares = np.percentile(seconds, [50, 99])
                    found[row][adapting].append((1e3 * shares).tolist())
                    if row == "ours":
                        answers |= said
    title = (
        f"{case.artifact.stem} on {case.interpreter}, {case.threads} thread(s) an "
        f"interpreter, {case.callers} caller(s)"
    )
    conditions = table.conditions(given.rounds, max(busy, others_busy()))
    print(f"\n{title}; milliseconds, {conditions}")
    show(found)
    # Each adaptation is of the same examples: there are the initial model and its one.
    wrong = [f"{title}: {len(answers)} answers of 2 models"] if len(answers) > 2 else []
    milliseconds = {
        row: {"adapting" if a else "alone": numbers for a, numbers in by.items()}
        for row, by in found.items()
    }
    fields = {**case._asdict(), "artifact": case.artifact.stem}
    return {**fields, "p50_p99_milliseconds": milliseconds}, wrong


def latencies(
    predict: list[Predict], x: np.ndarray, given: argparse.Namespace
) -> tuple[list[float], set[bytes]]:
    """Seconds of every call of all callers, and what was answered."""
    seconds: list[float] = []
    answers: set[bytes] = set()

    def call(predict: Predict) -> None:
        for number in range(_WARM_CALLS + given.calls):
            began = time.perf_counter()
            answer = predict(x)
            taken = time.perf_counter() - began
            if number >= _WARM_CALLS:
                seconds.append(taken)
            answers.add(answer.tobytes())
            time.sleep(given.pause)

    callers = [threading.Thread(target=call, args=(each,)) for each in predict]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if len(seconds) != given.calls * len(predict):
        raise SystemExit("a caller failed")
    return seconds, answers


@contextlib.contextmanager
def running(work: Callable[[], object]) -> Iterator[None]:
    """Does a work again and again in another thread; the last one to its end."""
    begun, stop, finished = threading.Event(), threading.Event(), threading.Event()

    def again() -> None:
        while not stop.is_set():
            begun.set()
            work()
        finished.set()

    worker = threading.Thread(target=again)
    worker.start()
    begun.wait()
    yield
    stop.set()
    worker.join()
    if not finished.is_set():
        raise SystemExit("an adaptation failed")


def bound(case: Case, personalizer: Personalizer, x: np.ndarray, y: np.ndarray) -> Side:
    """Bare interpreters: one of the baked model a caller, one of the artifact."""
    baked = personalizer.bake()

    def predicts() -> Predict:
        interpreter = native(case, baked)
        (name,) = interpreter.get_signature_list()["serving_default"]["inputs"]
        run = interpreter.get_signature_runner("serving_default")
        return lambda one: run(**{name: one})["output"]

    batch = personalizer.manifest.batch_size
    step = native(case, case.artifact.read_bytes(), trains=True)
    train = step.get_signature_runner("train")
    inputs = {
        "x": x[:batch, ..., None].astype(np.float32) / 255,
        "y": y[:batch].astype(np.int32),
        "weight": np.ones(batch, np.float32),
        "learning_rate": np.array([0.01], np.float32),
    }
    return Side([predicts() for _ in range(case.callers)], lambda: train(**inputs))


def native(case: Case, content: bytes, trains: bool = False) -> Any:
    """A package's own `Interpreter`, as the device runtime makes it."""
    module = importlib.import_module(f"{case.interpreter}.interpreter")
    options: dict[str, Any] = {"num_threads": case.threads}
    if trains and case.interpreter == "tflite_runtime":
        plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_op_resolver_type"] = plain
    interpreter = module.Interpreter(model_content=content, **options)
    interpreter.allocate_tensors()
    return interpreter


def show(found: dict[str, dict[bool, list[list[float]]]]) -> None:
    """Prints a table's rows."""
    for row, by in found.items():
        alone, adapting = np.array(by[False]), np.array(by[True])
        cells = [
            f"{name} {table.spread(alone[:, i], '.3f')} alone, "
            f"{table.spread(adapting[:, i], '.3f')} adapting, "
            f"ratio {table.spread(adapting[:, i] / alone[:, i], '.2f')}"
            for i, name in enumerate(("p50", "p99"))
        ]
        print(f"{row:6}{cells[0]}\n{'':6}{cells[1]}")


if __name__ == "__main__":
    sys.exit(main())
