"""Arrays on disk that are whole or not there, whenever the writer is stopped."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np

from fedp.device_runtime.errors import RunError
from fedp.device_runtime.whole_file import write_whole

_KEPT = 2
_MEND = "restore it from a copy, or train again"


def write_run_file(path: pathlib.Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file of a run whole or not at all.

    Raises:
        RunError: no room or no right to write; `path` is as it was before.
    """
    try:
        write_whole(path, write)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}): make room there, "
            "then resume the run"
        ) from error


def write_arrays(path: pathlib.Path, arrays: Sequence[np.ndarray]) -> None:
    """Writes arrays, in order, to an .npz file, with a digest of all of them."""
    named = {f"a{number}": np.asarray(array) for number, array in enumerate(arrays)}
    named["sha256"] = np.array(_digest(list(named.values())))
    write_run_file(path, lambda file: np.savez(file, **named))


def read_arrays(path: pathlib.Path) -> list[np.ndarray]:
    """Reads what `write_arrays` wrote.

    Raises:
        RunError: the file is missing, cut short or changed.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = [stored[f"a{number}"] for number in range(len(stored.files) - 1)]
            whole = str(stored["sha256"]) == _digest(arrays)
    except Exception as error:  # a flipped bit can make zipfile raise anything
        why = " ".join(str(error).split())
        raise RunError(f"{path} cannot be read ({why}): {_MEND}") from error
    if not whole:
        raise RunError(f"{path} is damaged: {_MEND}")
    return arrays


def _digest(arrays: Sequence[np.ndarray]) -> str:
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{array.dtype.str}{array.shape}".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def write_checkpoint(
    folder: pathlib.Path, round_number: int, arrays: Sequence[np.ndarray]
) -> None:
    """Writes the state after a round and drops all but the last two checkpoints."""
    write_arrays(folder / f"round_{round_number:06d}.npz", arrays)
    for old in _newest_first(folder)[_KEPT:]:
        old.unlink()


def read_checkpoint(folder: pathlib.Path) -> tuple[int, list[np.ndarray]] | None:
    """Reads the newest checkpoint that is whole.

    Returns:
        The round it was written after, and its arrays; None if there is none.
    """
    for path in _newest_first(folder):
        with contextlib.suppress(RunError):
            return _round_of(path), read_arrays(path)
    return None


def drop_checkpoints(folder: pathlib.Path, after: int) -> None:
    """Deletes the checkpoints of rounds after one."""
    for path in _newest_first(folder):
        if _round_of(path) > after:
            path.unlink()


def _round_of(path: pathlib.Path) -> int:
    return int(path.stem.removeprefix("round_"))


def _newest_first(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("round_*.npz"), reverse=True)
