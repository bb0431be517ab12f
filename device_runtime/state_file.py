"""The SQLite file behind a state directory: made, checked and, if damaged, mended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import sqlite3

from fedp.device_runtime.state_schema import (
    SCHEMA_VERSION,
    Content,
    drop_tables_1,
    make_tables,
    salvage,
    tables,
    transaction,
    version_of,
)

FILE = "state.sqlite"
_MENDED = "state.sqlite.mended"
_DAMAGED = "state.sqlite.damaged"
_JOURNAL = "-journal"
_BLOCK = 1 << 20  # Bytes overwritten at once.


def open_state(
    directory: pathlib.Path | None, artifact: str, weights_size: int
) -> sqlite3.Connection:
    """Opens a state; makes it if it is new, mends it if damaged.

    Args:
        directory: where it lives; None keeps it in memory.
        artifact: SHA-256 of the artifact that it is opened for, in hex.
        weights_size: length of that artifact's weights, in bytes.

    Raises:
        StateError: it is another program's, or a newer release's.
        OSError, sqlite3.OperationalError: it cannot be read, or made.
    """
    if directory is None:
        in_memory = _connect(":memory:")
        make_tables(in_memory, Content())
        return in_memory
    _make_directory(directory)
    while True:
        with contextlib.ExitStack() as stack:
            look = (directory / FILE, artifact, weights_size)
            connection, content = _look(stack, *look, hold=False)
            if not content.damage and connection:
                stack.pop_all()
                return connection
        mended = _mend(directory, artifact, weights_size)
        if mended:
            return mended


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
                connection = _connect(str(directory / FILE))
                stack.callback(connection.close)
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise
            except sqlite3.DatabaseError:
                pass
        erase_leftovers(directory)
        # The file before its journal, which would undo half a transaction in it.
        _erase_file(directory / FILE)
        _erase_file(directory / (FILE + _JOURNAL))
        if directory.is_dir():
            _sync_directory(directory)


def erase_leftovers(directory: pathlib.Path) -> None:
    """Overwrites and removes what damage and mending left beside a state.

    Raises:
        OSError: it cannot be removed.
    """
    path, damaged = directory / FILE, directory / _DAMAGED
    if path.exists() and damaged.exists() and path.samefile(damaged):
        damaged.unlink()  # Mending ended before its last step: it is the state itself.
    for name in (_MENDED, _DAMAGED):
        _erase_file(directory / name)
        _erase_file(directory / (name + _JOURNAL))


def journal_handle(path: pathlib.Path) -> int | None:
    """Descriptor of the open transaction's journal; None where there is none."""
    with contextlib.suppress(OSError):
        return os.open(path.with_name(path.name + _JOURNAL), os.O_RDWR)
    return None


def file_identity(path: pathlib.Path) -> tuple[int, int] | None:
    """What tells a file from another one that later has its name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_directory(directory: pathlib.Path) -> None:
    if directory.is_dir():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # Not every parent may be opened.
        _sync_directory(directory.parent)


def _sync_directory(directory: pathlib.Path) -> None:
    """Makes names in a directory outlive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _erase_file(path: pathlib.Path) -> None:
    """Overwrites a file with zeros, where that is allowed, and removes it.

    A file system that does not write in place, as on flash, may still hold the bytes.
    """
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


def _connect_file(path: pathlib.Path) -> sqlite3.Connection:
    if not path.exists():  # SQLite would let others read it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return _connect(str(path))


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Damaged text is found by its hash, not by a decoding error.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        # A rollback journal suits rare, large transactions: the blob is written once
        # (WAL: twice), readers need no write access and no shared memory, and one file
        # is all there is between transactions. EXTRA also syncs the directory when the
        # journal goes, so that a commit outlives a power cut.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        # Weights hold traces of a person's data: forgotten means overwritten.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def _look(
    stack: contextlib.ExitStack,
    path: pathlib.Path,
    artifact: str,
    weights_size: int,
    *,
    hold: bool,
) -> tuple[sqlite3.Connection | None, Content]:
    """Opens a file, brings it to today's schema, and says what is good in it.

    Args:
        stack: closes the connection.
        path: of the file.
        artifact: see `open_state`.
        weights_size: see `open_state`.
        hold: whether to keep all others from writing until the stack ends.
    """
    content, connection = Content(), None
    try:
        connection = _connect_file(path)
        stack.callback(connection.close)
        if not tables(connection):
            _start(connection, path)
        if hold:
            connection.execute("BEGIN IMMEDIATE")
        version = version_of(connection, path)
        content = salvage(connection, version, artifact, weights_size)
        if version != SCHEMA_VERSION and not content.damage:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _migrate(connection, path, artifact, weights_size)
    except sqlite3.OperationalError:  # Locked or unreadable now; not damaged.
        raise
    except UnicodeDecodeError:  # SQLite's own message quotes the damaged bytes.
        content.damage = "its schema is broken"
    except sqlite3.DatabaseError as error:
        content.damage = str(error)
    return connection, content


def _migrate(
    connection: sqlite3.Connection, path: pathlib.Path, artifact: str, weights_size: int
) -> None:
    """Turns an older schema into today's, in one transaction."""
    with transaction(connection):
        version = version_of(connection, path)
        if version == SCHEMA_VERSION:  # Another process was faster.
            return
        content = salvage(connection, version, artifact, weights_size)
        query = "SELECT damage FROM artifact"
        content.damage = str(connection.execute(query).fetchone()[0])
        drop_tables_1(connection)
        make_tables(connection, content)


def _start(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    """Makes the tables in a file that has none."""
    with transaction(connection):
        if tables(connection):  # Another process was faster.
            return
        if path.stat().st_size:  # SQLite takes the first bytes of a file for none.
            raise sqlite3.DatabaseError("it is cut short")
        make_tables(connection, Content())


def _mend(
    directory: pathlib.Path, artifact: str, weights_size: int
) -> sqlite3.Connection | None:
    """Puts a new file with the good rows in place of a damaged one.

    The damaged file stays beside it until the next mending, reset or forgetting.

    Returns:
        None if another process was faster: look again.
    """
    path, mended, damaged = (directory / name for name in (FILE, _MENDED, _DAMAGED))
    with contextlib.ExitStack() as stack:
        if not _lock_mending(stack, mended):
            return None
        look = (path, artifact, weights_size)
        connection, content = _look(stack, *look, hold=True)
        if not content.damage:
            mended.unlink()
            return None
        with contextlib.closing(_connect(str(mended))) as new, transaction(new):
            make_tables(new, content)
        if path.exists() and damaged.exists() and not path.samefile(damaged):
            _erase_file(damaged)
        _erase_file(directory / (_DAMAGED + _JOURNAL))
        damaged.unlink(missing_ok=True)
        try:
            # At every instant there is a file to open or to mend again.
            os.link(path, damaged)
        except OSError:  # A file system without links.
            shutil.copyfile(path, damaged)
            damaged.chmod(0o600)
        # The old journal must not be played into the new file.
        _erase_file(directory / (FILE + _JOURNAL))
        os.replace(mended, path)
        _sync_directory(directory)
    return _connect_file(path)


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
    _erase_file(mended.with_name(mended.name + _JOURNAL))
    return True
