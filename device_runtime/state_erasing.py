"""Forgetting on disk: what a state's files held is overwritten, then removed.

A file system that does not write in place, as on flash, may still hold the bytes.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3

from fedp.device_runtime.state_connection import (
    FILE,
    JOURNAL,
    connect,
    sync_directory,
)

# A file that takes the state's place, and the one whose place it took.
MENDED = "state.sqlite.mended"
DAMAGED = "state.sqlite.damaged"
_BLOCK = 1 << 20  # Bytes overwritten at once.


def erase(directory: pathlib.Path) -> None:
    """Overwrites and removes a directory's state, whatever is in it.

    Other files stay.

    Raises:
        OSError: it cannot be removed.
        sqlite3.OperationalError: another process is writing it.
    """
    with contextlib.ExitStack() as stack:
        if (directory / FILE).is_file():  # Nobody may read half of it.
            try:
                connection = connect(str(directory / FILE))
                stack.callback(connection.close)
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise
            except sqlite3.DatabaseError:
                pass
        erase_leftovers(directory)
        # The file before its journal, which would undo half a transaction in it.
        erase_file(directory / FILE)
        erase_file(directory / (FILE + JOURNAL))
        if directory.is_dir():
            sync_directory(directory)


def erase_leftovers(directory: pathlib.Path) -> None:
    """Overwrites and removes what damage and mending left beside a state.

    Raises:
        OSError: it cannot be removed.
    """
    path, damaged = directory / FILE, directory / DAMAGED
    if path.exists() and damaged.exists() and path.samefile(damaged):
        damaged.unlink()  # Mending ended before its last step: it is the state itself.
    for name in (MENDED, DAMAGED):
        erase_file(directory / name)
        erase_file(directory / (name + JOURNAL))


def erase_file(path: pathlib.Path) -> None:
    """Overwrites a file with zeros, where that is allowed, and removes it."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            # To the end: closing lets go of the locks that SQLite has on the file.
            stack.callback(os.close, handle)
            overwrite(handle)
        path.unlink(missing_ok=True)


def overwrite(handle: int) -> None:
    """Fills an open file with zeros, also one that has no name any more."""
    size = os.fstat(handle).st_size
    for at in range(0, size, _BLOCK):
        os.pwrite(handle, bytes(min(_BLOCK, size - at)), at)
    os.fsync(handle)


def journal_handle(path: pathlib.Path) -> int | None:
    """Descriptor of the open transaction's journal; None where there is none."""
    with contextlib.suppress(OSError):
        return os.open(path.with_name(path.name + JOURNAL), os.O_RDWR)
    return None
