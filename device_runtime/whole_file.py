"""Files that are the old ones or the new ones, whenever the writer is stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable
from typing import IO


def check_place(path: pathlib.Path) -> None:
    """Finds out before any work whether a file could be put there.

    Raises:
        OSError: it is a directory, or in none that exists and may be written to.
    """
    if path.is_dir():
        raise _os_error(errno.EISDIR, path)
    if not path.parent.is_dir():
        raise _os_error(errno.ENOENT, path.parent)
    if not os.access(path.parent, os.W_OK):
        raise _os_error(errno.EACCES, path.parent)


def write_whole(path: pathlib.Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes beside `path` and renames over it once the bytes are on disk.

    Raises:
        OSError: no room, no right to write, or a directory; `path` is as it was before.
    """
    if path.is_dir():  # Its name may be empty, as that of "." is.
        raise _os_error(errno.EISDIR, path)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _os_error(number: int, path: pathlib.Path) -> OSError:
    # Becomes the subclass of that number.
    return OSError(number, os.strerror(number), str(path))
