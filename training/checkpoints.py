"""Arrays on disk that are whole or not there, whenever the writer is stopped."""

from __future__ import annotations

import contextlib
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np

from fedp.device_runtime.errors import RunError
from fedp.device_runtime.whole_file import write_whole

_KEPT = 2


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
    """Writes arrays, in order, to an .npz file."""
    named = {f"a{number}": array for number, array in enumerate(arrays)}
    write_run_file(path, lambda file: np.savez(file, **named))


def read_arrays(path: pathlib.Path) -> list[np.ndarray]:
    """Reads what `write_arrays` wrote.

    Raises:
        RunError: the file is missing, cut short or changed.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            # Reading a member checks its CRC, so damage cannot pass unseen.
            return [arrays[f"a{number}"] for number in range(len(arrays.files))]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error})") from error
    except zlib.error as error:
        raise RunError(f"{path} is damaged ({error})") from error


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
            return int(path.stem.removeprefix("round_")), read_arrays(path)
    return None


def _newest_first(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("round_*.npz"), reverse=True)
