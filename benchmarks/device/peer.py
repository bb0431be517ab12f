"""What a file in `peers/` says about its peer, and the list of all of them."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from collections.abc import Callable

import numpy as np

from device.work import Work

# One step of SGD: (x float32 [B, 28, 28, 1], y int32 [B]) -> mean loss before it.
Train = Callable[[np.ndarray, np.ndarray], float]
# x float32 [n, 28, 28, 1] -> class probabilities [n, C].
Predict = Callable[[np.ndarray], np.ndarray]

_FOLDER = pathlib.Path(__file__).parents[1] / "peers"


@dataclasses.dataclass(frozen=True)
class Peer:
    """One row of the tables.

    Attributes:
        name: in the tables.
        distributions: what is installed for it; the first one's version is shown.
        install: how, for those who have not.
        train: makes a step of training; None if it cannot train.
        predict: makes an inference for inputs of n examples, given n; None if it has
            no row among them.
        prepare: makes files in the work's folder, in a process of its own.
        unneeded: globs of installed files that a CPU does without; not counted.
        note: printed under the table.
    """

    name: str
    distributions: tuple[str, ...]
    install: str
    train: Callable[[Work], Train] | None = None
    predict: Callable[[Work, int], Predict] | None = None
    prepare: Callable[[Work], None] = lambda work: None
    unneeded: tuple[str, ...] = ()
    note: str = ""


def load(key: str) -> Peer:
    """The peer of `peers/KEY.py`, which imports what it needs when it is called."""
    peer: Peer = importlib.import_module(f"peers.{key}").PEER
    return peer


def all_peers() -> dict[str, Peer]:
    """Every file's peer by the file's name; ours come first."""
    keys = sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))
    keys.sort(key=lambda key: not key.startswith("fedp_"))
    return {key: load(key) for key in keys}
