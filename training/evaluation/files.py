"""Report files that are either the old ones or the new ones, never a part of one."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterable

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
        raise cannot_write(path, error) from error


def replace_text(path: pathlib.Path, text: str) -> None:
    """Writes a text as UTF-8, whole or not at all.

    Raises:
        FedpError: it cannot be written; `path` is as it was before.
    """
    replace_lines(path, [text])


def replace_lines(path: pathlib.Path, lines: Iterable[str]) -> None:
    """Writes lines, which bring their own ends, as they come; whole or not at all.

    Raises:
        FedpError: the file cannot be written; `path` is as it was before.
    """
    try:
        write_whole(path, lambda file: file.writelines(map(str.encode, lines)))
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: pathlib.Path, error: OSError) -> FedpError:
    """What to tell of a report file that the system refuses."""
    return FedpError(
        f"report {path} cannot be written ({error.strerror or error}): give a "
        "directory with room that you may write to"
    )
