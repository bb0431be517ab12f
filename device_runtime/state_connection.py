"""How a state's SQLite file is opened, and what tells it from another one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Iterator

FILE = "state.sqlite"
JOURNAL = "-journal"


def connect_file(path: pathlib.Path) -> sqlite3.Connection:
    """Opens a file; makes an empty one where there is none."""
    if not path.exists():  # SQLite would let others read it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return connect(str(path))


def connect(path: str) -> sqlite3.Connection:
    """Opens what SQLite calls so, ":memory:" too."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Damaged text is found by its hash, not by a decoding error.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        # A rollback journal suits rare, large transactions: the blob is written once
        # (WAL: twice), readers need no write access and no shared memory, and one file
        # is all there is between transactions. EXTRA also syncs the directory when the
        # journal goes, so that a commit outlives a power cut.
        connection.execute("PRAGMA page_size = 4096")  # What `page_scan` reads.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        # Weights hold traces of a person's data: forgotten means overwritten.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the body's statements happen, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself undoes it on a full disk.
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Lets several queries see one instant."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection has changed the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def file_identity(path: pathlib.Path) -> tuple[int, int] | None:
    """What tells a file from another one that later has its name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sync_directory(directory: pathlib.Path) -> None:
    """Makes names in a directory outlive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
