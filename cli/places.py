"""Files and directories that a user names."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

from fedp.cli.printing import say
from fedp.device_runtime.errors import DataError, FedpError


@contextlib.contextmanager
def writing(out: pathlib.Path) -> Iterator[None]:
    """Whatever is wrong with the place of --out becomes one line."""
    try:
        yield
    except OSError as error:
        raise FedpError(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error


@contextlib.contextmanager
def naming(data: pathlib.Path) -> Iterator[None]:
    """Says which file holds the examples that do not fit."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{data}: {error}") from error


def existing(state: pathlib.Path) -> pathlib.Path | None:
    """The directory, or None where nothing is: a mistyped path must not be made."""
    return state if state.exists() else None


def mention_missing(state: pathlib.Path) -> None:
    """Says which model is live where no state is."""
    if not state.exists():
        say(f"there is no state in {state}: the initial model is live")
