"""The SQLite file behind a state directory: made, checked and, if damaged, mended."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

from fedp.device_runtime.state_connection import FILE, connect, sync_directory
from fedp.device_runtime.state_look import look
from fedp.device_runtime.state_mending import mend
from fedp.device_runtime.state_salvage import Owner
from fedp.device_runtime.state_schema import make_tables


def open_state(directory: pathlib.Path | None, owner: Owner) -> sqlite3.Connection:
    """Opens a state; makes it if it is new, mends it if damaged.

    Args:
        directory: where it lives; None keeps it in memory.
        owner: whom it is opened for.

    Raises:
        StateError: it is another program's, or a newer release's.
        OSError, sqlite3.OperationalError: it cannot be read, or made.
    """
    if directory is None:
        in_memory = connect(":memory:")
        make_tables(in_memory)
        return in_memory
    _make_directory(directory)
    while True:
        with contextlib.ExitStack() as stack:
            connection, found = look(stack, directory / FILE, owner, hold=False)
            if not found.damage and connection:
                stack.pop_all()
                return connection
        mended = mend(directory, owner)
        if mended:
            return mended


def _make_directory(directory: pathlib.Path) -> None:
    if directory.is_dir():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # Not every parent may be opened.
        sync_directory(directory.parent)
