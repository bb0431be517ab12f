"""A new file with the good rows in place of a damaged one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import sqlite3

from fedp.device_runtime import facts
from fedp.device_runtime.state_connection import (
    FILE,
    JOURNAL,
    connect,
    connect_file,
    file_identity,
    sync_directory,
    transaction,
)
from fedp.device_runtime.state_erasing import DAMAGED, MENDED, erase_file, overwrite
from fedp.device_runtime.state_look import look
from fedp.device_runtime.state_salvage import Owner, good_rows, rows_1
from fedp.device_runtime.state_schema import make_tables


def mend(directory: pathlib.Path, owner: Owner) -> sqlite3.Connection | None:
    """Puts a new file in place of a damaged one.

    The damaged file stays beside it until the next mending, reset or forgetting.

    Returns:
        None if another process was faster: look again.
    """
    path, mended = directory / FILE, directory / MENDED
    with contextlib.ExitStack() as stack:
        if not _lock_mending(stack, mended):
            return None
        connection, found = look(stack, path, owner, hold=True)
        if not found.damage:
            mended.unlink()
            return None
        first = found.version == 1 and connection
        rows = rows_1(first, owner) if first else good_rows(path, owner, found)
        with contextlib.closing(connect(str(mended))) as new, transaction(new):
            # Schema 1 knew of no releases: no damage can have taken one.
            make_tables(new, rows, found.last_ids, lost=not first)
            facts.put(new, "damage", found.damage or "its tables are broken")
        _put_aside(path, directory / DAMAGED)
        # The old journal must not be played into the new file.
        erase_file(directory / (FILE + JOURNAL))
        os.replace(mended, path)
        sync_directory(directory)
    return connect_file(path)


def _put_aside(path: pathlib.Path, damaged: pathlib.Path) -> None:
    """Gives a damaged file its second name: always there is one to open or to mend."""
    if path.exists() and damaged.exists() and not path.samefile(damaged):
        erase_file(damaged)
    erase_file(damaged.with_name(damaged.name + JOURNAL))
    damaged.unlink(missing_ok=True)
    try:
        os.link(path, damaged)
    except OSError:  # A file system without links.
        shutil.copyfile(path, damaged)
        damaged.chmod(0o600)


def _lock_mending(stack: contextlib.ExitStack, mended: pathlib.Path) -> bool:
    """One mender at a time; False if there was one, who is done now."""
    handle = os.open(mended, os.O_CREAT | os.O_RDWR, 0o600)
    stack.callback(os.close, handle)
    fcntl.flock(handle, fcntl.LOCK_EX)
    found = os.fstat(handle)
    if file_identity(mended) != (found.st_dev, found.st_ino):
        return False
    overwrite(handle)  # What an interrupted mending left.
    os.ftruncate(handle, 0)
    erase_file(mended.with_name(mended.name + JOURNAL))
    return True
