"""Files that are the old ones or the new ones, whenever the writer is stopped."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable
from typing import IO


def write_whole(path: pathlib.Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes beside `path` and renames over it once the bytes are on disk.

    Raises:
        OSError: no room or no right to write; `path` is as it was before.
    """
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
