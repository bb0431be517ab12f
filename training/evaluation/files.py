"""Report files that are either the old ones or the new ones, never a part of one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile

from fedp.device_runtime.errors import FedpError


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
    """Writes UTF-8 text beside `path` and renames it over `path` once it is on disk.

    Raises:
        FedpError: it cannot be written; `path` is as it was before.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise _cannot_write(path, error) from error


def _cannot_write(path: pathlib.Path, error: OSError) -> FedpError:
    return FedpError(
        f"report {path} cannot be written ({error.strerror or error}): give a "
        "directory with room that you may write to"
    )
