"""kill -9 at random instants of real processes that change a state, counted.

A light process forks a child, lets it work on a state for some microseconds, kills it,
and compares what is on disk with what the child said it had begun and done:

    python -m tests.device_runtime.kills --kills 500 [--artifact model.tflite]
"""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import json
import os
import pathlib
import random
import signal
import stat
import tempfile
import time
from collections.abc import Callable

import numpy as np

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.store import Store

ARTIFACT = "a" * 64
SIZE = 60_000
CAPACITY = 12
OPERATIONS = (
    *("add",) * 6,
    *("commit",) * 6,
    *("unfinished",) * 3,
    *("outcome",) * 2,
    *("rollback",) * 3,
    "delete",
    "prune",
    "reset",
    "forget",
)


def blob(number: int, size: int = SIZE) -> bytes:
    return np.random.default_rng(number).bytes(size)


def example(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(200).astype(np.float32)


@dataclasses.dataclass
class Expected:
    """What a state must hold; ids only rise."""

    generations: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    examples: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    outcomes: list[float] = dataclasses.field(default_factory=list)
    unfinished: int | None = None
    given: list[int] = dataclasses.field(default_factory=lambda: [0, 0])

    def after(self, operation: str, number: int) -> Expected:
        new = copy.deepcopy(self)
        if operation == "add":
            new.given[0] += 1
            new.examples = [*new.examples, (new.given[0], number)][-CAPACITY:]
        elif operation == "commit":
            new.given[1] += 1
            new.generations = [*new.generations, (new.given[1], number)][-3:]
            new.unfinished = None
        elif operation == "unfinished":
            new.unfinished = number
        elif operation == "outcome":
            new.outcomes.append(float(number))
        elif operation == "rollback":
            del new.generations[-1:]
        elif operation == "delete":
            del new.examples[:1]
        elif operation == "prune":
            new.examples = new.examples[-CAPACITY // 2 :]
        elif operation in ("reset", "forget"):
            new.generations, new.unfinished = [], None
            if operation == "forget":
                new.examples, new.outcomes = [], []
        return new


def operate(store: Store, operation: str, number: int) -> None:
    if operation == "add":
        store.add_example(example(number), number)
    elif operation == "commit":
        with store.adapting():
            store.commit(blob(number), "keep", str(number), "{}")
    elif operation == "unfinished":
        store.save_unfinished(blob(number, 30_000), "key")
    elif operation == "outcome":
        store.log_outcome(number)
    elif operation == "delete":
        ids = store.examples().ids
        if len(ids):
            store.delete_example(int(ids[0]))
    elif operation == "prune":  # One transaction drops, the next one says 12 again.
        store.configure(capacity=CAPACITY // 2)
        store.configure(capacity=CAPACITY)
    else:
        {"rollback": store.rollback, "reset": store.reset, "forget": store.forget}[
            operation
        ]()


def check(store: Store, expected: Expected) -> bool:
    """Whether the state is this one, bit for bit."""
    rows = [store.newest(skip) for skip in reversed(range(store.count()))]
    found = store.examples()
    unfinished = store.unfinished("key")
    wanted = None if expected.unfinished is None else blob(expected.unfinished, 30_000)
    return (
        [(row.id, row.weights) for row in rows]
        == [(number, blob(seed)) for number, seed in expected.generations]
        and found.ids.tolist() == [number for number, _ in expected.examples]
        and all(
            (x == example(seed)).all() and y == seed
            for x, y, (_, seed) in zip(found.x, found.y, expected.examples)
        )
        and [row.live_correct for row in store.outcomes()] == expected.outcomes
        and unfinished == wanted
    )


def killed_child(work: Callable[[Callable[[str], None]], None], delay: float) -> str:
    """Forks a child, kills it after `delay` seconds, and returns what it had said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(lambda text: os.write(writing, text.encode()) and None)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        text = said.read()
    assert os.WIFSIGNALED(status), f"the child ended by itself after: {text[-300:]}"
    return text


def changes(directory: pathlib.Path, seed: int) -> Callable[..., None]:
    def work(say: Callable[[str], None]) -> None:
        chance = random.Random(seed)
        store = Store.open(directory, ARTIFACT, SIZE)
        store.configure(capacity=CAPACITY)
        say("opened\n")
        while True:
            operation, number = chance.choice(OPERATIONS), chance.randrange(2**30)
            say(f"begin {operation} {number}\n")
            operate(store, operation, number)
            say("done\n")

    return work


def check_files(directory: pathlib.Path) -> None:
    for path in directory.iterdir():
        # A journal that never counted (SQLite writes its mark last) stays until the
        # next change, which writes over it and removes it.
        mark = path.read_bytes()[:1] if path.name == "state.sqlite-journal" else b"?"
        assert path.name == "state.sqlite" or mark in (b"", b"\0"), path
    mode = stat.S_IMODE((directory / "state.sqlite").stat().st_mode)
    assert mode == 0o600, oct(mode)


def kill_changes(kills: int, seed: int) -> dict[str, collections.Counter]:
    """Kills children that store, roll back, prune and forget."""
    chance = random.Random(seed)
    tally: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    expected = Expected()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name) / "state"
        for kill in range(kills):
            delay = chance.uniform(0, 0.03)
            said = killed_child(changes(directory, seed * 10**7 + kill), delay)
            lines = said.splitlines()
            begun = None
            for line in lines:
                if line == "done" and begun:
                    expected, begun = expected.after(*begun), None
                elif line.startswith("begin"):
                    _, operation, number = line.split()
                    begun = (operation, int(number))
            where = begun[0] if begun else "between" if lines else "opening"
            tally[where]["kills"] += 1
            journal = directory / "state.sqlite-journal"
            tally[where]["half written"] += journal.exists()
            tally[where]["operations"] += lines.count("done")
            store = Store.open(directory, ARTIFACT, SIZE)
            try:
                assert store.damage() == "", store.damage()
                if begun and check(store, expected.after(*begun)):
                    tally[where]["happened"] += 1
                    expected = expected.after(*begun)
                else:
                    assert check(store, expected), f"kill {kill} in {where}: lost"
                check_files(directory)
            finally:
                store.close()
    return dict(tally)


def kill_personalizations(
    artifact: pathlib.Path, kills: int, seed: int
) -> dict[str, collections.Counter]:
    """Kills children that adapt, decide, store and roll back by the real front door."""
    from fedp.device_runtime import Budget, Personalizer, read_artifact
    from fedp.device_runtime.weights import blob_size

    manifest: Manifest = read_artifact(artifact)[0]
    size = blob_size(manifest.weights)
    chance = random.Random(seed)
    data = np.random.default_rng(0)
    x = data.standard_normal((40, *manifest.input_shape)).astype(np.float32)
    y = (x.reshape(len(x), -1)[:, 0] > 0).astype(np.int64)
    budget = Budget(epochs=8)
    tally: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    answers, blobs = {}, {}
    for number in range(3):
        with Personalizer.open(artifact) as device:
            answers[None] = device.predict(x)
            outcome = device.personalize(x, y, seed=number, budget=budget)
            assert outcome.decision == "keep", outcome
            answers[number] = device.predict(x)
            blobs[number] = device._store.newest().weights

    def work(say: Callable[[str], None]) -> None:
        mine = random.Random(time.monotonic_ns())
        with Personalizer.open(artifact, directory) as device:
            say("opened\n")
            while True:
                number = mine.randrange(3)
                operation = mine.choice(["adapt", "adapt", "rollback"])
                say(f"begin {operation} {number}\n")
                if operation == "adapt":
                    device.personalize(x, y, seed=number, budget=budget)
                else:
                    device.rollback()
                say("done\n")

    def after(live: list[int], operation: str, number: int) -> list[int]:
        return [*live, number][-3:] if operation == "adapt" else live[:-1]

    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name) / "state"
        store = Store.open(directory, manifest.sha256, size)
        ids = [store.add_example(*pair) for pair in zip(x[:9], y[:9])]
        store.close()
        live: list[int] = []
        for kill in range(kills):
            said = killed_child(work, chance.uniform(0, 0.1))
            lines, begun = said.splitlines(), None
            for line in lines:
                if line == "done" and begun:
                    live, begun = after(live, *begun), None
                elif line.startswith("begin"):
                    _, operation, number = line.split()
                    begun = (operation, int(number))
            where = begun[0] if begun else "between" if lines else "opening"
            where = f"Personalizer: {where}"
            tally[where]["kills"] += 1
            journal = directory / "state.sqlite-journal"
            tally[where]["half written"] += journal.exists()
            tally[where]["operations"] += lines.count("done")
            with Personalizer.open(artifact, directory) as device:
                store = device._store
                rows = [store.newest(s) for s in reversed(range(store.count()))]
                found = [row.weights for row in rows]
                if begun and found == [blobs[n] for n in after(live, *begun)]:
                    live = after(live, *begun)
                    tally[where]["happened"] += 1
                assert found == [blobs[n] for n in live], f"kill {kill} in {where}"
                served = answers[live[-1] if live else None]
                assert (device.predict(x) == served).all(), f"kill {kill} in {where}"
                kept = store.examples()
                assert kept.ids[:9].tolist() == ids and (kept.x[:9] == x[:9]).all()
                assert store.damage() == ""
                check_files(directory)
    return dict(tally)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--artifact", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    adapting = options.kills // 5 if options.artifact else 0
    tally = kill_changes(options.kills - adapting, options.seed)
    if adapting:
        tally |= kill_personalizations(options.artifact, adapting, options.seed)
    print(json.dumps(tally, sort_keys=True))


if __name__ == "__main__":
    main()
