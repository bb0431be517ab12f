"""Kills in the middle of whatever a `Store` does, and while it mends a file."""

from __future__ import annotations

import functools
import pathlib
import random
import shutil
import tempfile
import time

from fedp.device_runtime.store import Store
from kills.expected import (
    ARTIFACT,
    CAPACITY,
    OPERATIONS,
    SIZE,
    Expected,
    blob,
    operate,
)
from kills.process import Say, Tally, check_files, count, killed


def kill_changes(kills: int, seed: int) -> Tally:
    """Kills children that store, roll back, prune, log, release and forget."""
    chance = random.Random(seed)
    tally: Tally = {}
    expected = Expected()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name) / "state"
        for kill in range(kills):
            delay, drawn = chance.uniform(0, 0.03), chance.random()
            work = functools.partial(_work, directory=directory, seed=drawn)
            said = killed(work, delay, at_once=kill % 10 == 0)
            for operation in said.done:
                expected = expected.after(*operation)
            phase = count(tally, said, directory)
            store = Store.open(directory, ARTIFACT, SIZE)
            try:
                assert store.damage() == "", store.damage()
                if said.begun and expected.after(*said.begun).is_in(store):
                    tally[phase]["came through"] += 1
                    expected = expected.after(*said.begun)
                else:
                    assert expected.is_in(store), f"kill {kill} in {phase}: lost"
                check_files(directory)
            finally:
                store.close()
    return tally


def _work(say: Say, directory: pathlib.Path, seed: float) -> None:
    chance = random.Random(seed)
    store = Store.open(directory, ARTIFACT, SIZE)
    store.configure(capacity=CAPACITY)
    say("opened")
    while True:
        operation, number = chance.choice(OPERATIONS), chance.randrange(2**30)
        say(f"begin {operation} {number}")
        operate(store, operation, number)
        say("done")


def kill_mending(kills: int, seed: int) -> Tally:
    """Kills children that open a file whose newest weights have a flipped bit."""
    chance = random.Random(seed)
    tally: Tally = {}
    with tempfile.TemporaryDirectory() as name:
        damaged, directory = (
            pathlib.Path(name) / "damaged",
            pathlib.Path(name) / "state",
        )
        expected, seconds = _damaged_state(damaged), 0.0
        for kill in range(kills):
            shutil.copytree(damaged, directory)
            if kill < 3:  # How long it takes here, uninterrupted.
                started = time.monotonic()
                Store.open(directory, ARTIFACT, SIZE).close()
                seconds = max(seconds, time.monotonic() - started)
                shutil.rmtree(directory)
                shutil.copytree(damaged, directory)
            work = functools.partial(_open, directory=directory)
            said = killed(work, chance.uniform(0, 1.5 * seconds), at_once=False)
            phase = count(tally, said, directory)
            replaced = (directory / "state.sqlite.damaged").exists()
            tally[phase]["came through"] += replaced and said.begun is not None
            store = Store.open(directory, ARTIFACT, SIZE)
            assert expected.is_in(store), f"kill {kill} in {phase}: lost"
            assert store.damage() == "generation 3 does not match its hash"
            store.close()
            shutil.rmtree(directory)
    return tally


def _damaged_state(directory: pathlib.Path) -> Expected:
    """Makes one whose third generation has a flipped bit, and what is good in it."""
    good = [("adding an example", n) for n in range(CAPACITY)]
    good += [("storing a generation", 1), ("storing a generation", 2)]
    expected = Expected()
    store = Store.open(directory, ARTIFACT, SIZE)
    for operation in good:
        operate(store, *operation)
        expected = expected.after(*operation)
    operate(store, "storing a generation", 3)
    store.close()
    path = directory / "state.sqlite"
    content = bytearray(path.read_bytes())
    content[content.index(blob(3)[:1000]) + 500] ^= 1
    path.write_bytes(content)
    expected.counts[:2] = [3, 3]
    return expected


def _open(say: Say, directory: pathlib.Path) -> None:
    say("begin mending a damaged file 0")
    Store.open(directory, ARTIFACT, SIZE)
    say("done")
    time.sleep(10)
