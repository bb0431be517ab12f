"""Whether `forget` reaches every byte that a killed process has left behind."""

from __future__ import annotations

import functools
import pathlib
import random
import tempfile

import numpy as np

from fedp.device_runtime.store import Store
from kills.expected import ARTIFACT, SIZE
from kills.process import Say, Tally, count, killed

_PIECE = 64


def kill_and_forget(kills: int, seed: int) -> Tally:
    """Kills children that store and delete, forgets all, and looks for what was there.

    All that a child stores is made of the same few pieces, which no file may then hold.
    """
    chance = random.Random(seed)
    tally: Tally = {}
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name) / "state"
        for kill in range(kills):
            pieces = [
                np.random.default_rng((seed, kill, n)).bytes(_PIECE) for n in (0, 1)
            ]
            work = functools.partial(
                _work, directory=directory, pieces=pieces, seed=chance.random()
            )
            said = killed(work, chance.uniform(0, 0.02), at_once=False)
            phase = count(tally, said, directory)
            held = any(piece in _bytes(directory) for piece in pieces)
            tally[phase]["came through"] += held
            store = Store.open(directory, ARTIFACT, SIZE)
            store.forget()
            store.close()
            names = [path.name for path in directory.iterdir()]
            assert names == ["state.sqlite"], f"kill {kill} in {phase}: {names}"
            found = [piece for piece in pieces if piece in _bytes(directory)]
            assert not found, f"kill {kill} in {phase}: not forgotten"
    return tally


def _bytes(directory: pathlib.Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


def _work(say: Say, directory: pathlib.Path, pieces: list[bytes], seed: float) -> None:
    chance = random.Random(seed)
    store = Store.open(directory, ARTIFACT, SIZE)
    weights = pieces[0] * (SIZE // _PIECE) + bytes(SIZE % _PIECE)
    x = np.frombuffer(pieces[1] * 8, np.uint8)
    say("opened")
    while True:
        say("begin what is then forgotten 0")
        number = store.add_example(x, 1)
        store.save_unfinished(weights, "key")
        store.commit(weights, "keep", "", "{}")
        if chance.random() < 0.5:
            store.delete_example(number)
            store.rollback()
        say("done")
