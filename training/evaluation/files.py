"""Report files that are either the old ones or the new ones, never a part of one."""

from __future__ import annotations

import pathlib
import tempfile

from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.whole_file import write_whole


def make_directory(path: pathlib.Path) -> None:
    """Creates a report directory, with its parents, unless it is there.

    Raises:
        FedpError: it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def replace_text(path: pathlib.Path, text: str) -> None:
    """Writes a text as UTF-8, whole or not at all.

    Raises:
        FedpError: it cannot be written; `path` is as it was before.
    """
    try:
        write_whole(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: pathlib.Path, error: OSError) -> FedpError:
    return FedpError(
        f"report {path} cannot be written ({error.strerror or error}): give a "
        "directory with room that you may write to"
    )
