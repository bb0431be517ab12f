"""The SQLite file behind a state directory: made, checked and, if damaged, mended."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fedp.device_runtime.errors import StateError

FILE = "state.sqlite"
_MENDED = "state.sqlite.mended"
_DAMAGED = "state.sqlite.damaged"
_JOURNAL = "-journal"
_BLOCK = 1 << 20  # Bytes overwritten at once.

SCHEMA_VERSION = 1

_SCHEMA = {
    "artifact": (
        "CREATE TABLE artifact (sha256 TEXT NOT NULL, sha256_check TEXT NOT NULL, "
        "damage TEXT NOT NULL)"
    ),
    "generations": (
        "CREATE TABLE generations (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "created TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, "
        "evidence TEXT NOT NULL, weights BLOB, sha256 TEXT NOT NULL)"
    ),
}


class Row(NamedTuple):
    """One generation as it is stored.

    Attributes:
        id: grows with every generation.
        created: UTC time, ISO 8601.
        decision: "keep" or "revert".
        reason: the guard's sentence.
        evidence: JSON of what the guard saw.
        weights: raw float32, or None where the initial model is live.
        sha256: `content_hash` of created to weights.
    """

    id: int
    created: str
    decision: str
    reason: str
    evidence: str
    weights: bytes | None
    sha256: str


def content_hash(
    created: str, decision: str, reason: str, evidence: str, weights: bytes | None
) -> str:
    """SHA-256 in hex over all that a generation says."""
    texts = "\0".join((created, decision, reason, evidence)).encode()
    size = -1 if weights is None else len(weights)
    return hashlib.sha256(b"%s\0%d\0%s" % (texts, size, weights or b"")).hexdigest()


def open_state(
    directory: pathlib.Path | None, artifact: str, weights_size: int
) -> sqlite3.Connection:
    """Opens the state of an artifact; makes it if it is new, mends it if damaged.

    Args:
        directory: where it lives; None keeps it in memory.
        artifact: SHA-256 of the artifact, in hex.
        weights_size: length of a generation's weights, in bytes.

    Raises:
        StateError: it is the state of something else.
        OSError, sqlite3.OperationalError: it cannot be read, or made.
    """
    if directory is None:
        connection = _connect(":memory:")
        _make_tables(connection, artifact)
        return connection
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        try:
            connection = _connect_file(directory / FILE)
            stack.callback(connection.close)
            if not _tables(connection):
                _start(connection, directory / FILE, artifact)
            _check_schema(connection, directory / FILE)
            found = (
                _check_owner(connection, directory / FILE, artifact),
                _find_damage(connection, weights_size),
            )
            damage = "; ".join(filter(None, found))
            if not damage:
                stack.pop_all()
                return connection
            rows = list(_good_rows(connection, weights_size))
        except sqlite3.OperationalError:  # Locked or unreadable now; not damaged.
            raise
        except sqlite3.DatabaseError as error:
            damage = str(error)
    return _mend(directory, artifact, rows, damage)


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


def erase(directory: pathlib.Path) -> None:
    """Overwrites and removes a directory's state, whatever is in it.

    Other files stay.

    Raises:
        OSError: it cannot be removed.
    """
    erase_leftovers(directory)
    # The file before its journal, which would undo half a transaction in it.
    _erase_file(directory / FILE)
    _erase_file(directory / (FILE + _JOURNAL))


def erase_leftovers(directory: pathlib.Path) -> None:
    """Overwrites and removes what damage and mending left beside a state.

    Raises:
        OSError: it cannot be removed.
    """
    for name in (_MENDED, _DAMAGED):
        _erase_file(directory / name)
        _erase_file(directory / (name + _JOURNAL))


def _erase_file(path: pathlib.Path) -> None:
    """Overwrites a file with zeros, where that is allowed, and removes it.

    A file system that does not write in place, as on flash, may still hold the bytes.
    """
    with contextlib.suppress(OSError), path.open("r+b") as file:
        size = path.stat().st_size
        for at in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - at)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)


def _connect_file(path: pathlib.Path) -> sqlite3.Connection:
    if not path.exists():  # SQLite would let others read it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return _connect(str(path))


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Damaged text is found by its hash, not by a decoding error.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        # A rollback journal suits one rare, large transaction: the blob is written once
        # (WAL: twice), readers need no write access and no shared memory, and one file
        # is all there is between transactions. EXTRA also syncs the directory when the
        # journal goes, so that a commit outlives a power cut.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        # Weights hold traces of a person's data: forgotten means overwritten. Only the
        # rollback journal, which SQLite itself removes, is not.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _start(connection: sqlite3.Connection, path: pathlib.Path, artifact: str) -> None:
    """Makes the tables in a file that has none."""
    with transaction(connection):
        if _tables(connection):  # Another process was faster.
            return
        if path.stat().st_size:  # SQLite takes the first bytes of a file for none.
            raise sqlite3.DatabaseError("it is cut short")
        _make_tables(connection, artifact)


def _make_tables(
    connection: sqlite3.Connection, artifact: str, damage: str = ""
) -> None:
    for statement in _SCHEMA.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    owner = (artifact, _check_of(artifact), damage)
    connection.execute("INSERT INTO artifact VALUES (?, ?, ?)", owner)


def _check_of(artifact: object) -> str:
    """SHA-256 in hex of what stands as the artifact's hash, damaged or not."""
    return hashlib.sha256(str(artifact).encode()).hexdigest()


def _tables(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())


def _check_schema(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    """Raises StateError on another program's or schema's state."""
    tables = _tables(connection)
    if not tables.keys() >= _SCHEMA.keys():
        raise StateError(
            f"{path} is another program's database: give another state directory"
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise StateError(
            f"{path} has schema {version}, this fedp knows {SCHEMA_VERSION}: use the "
            "fedp release that wrote it, or forget the state with `fedp reset`"
        )
    if any(tables[name] != statement for name, statement in _SCHEMA.items()):
        raise sqlite3.DatabaseError("its schema is broken")


def _check_owner(
    connection: sqlite3.Connection, path: pathlib.Path, artifact: str
) -> str:
    """One phrase if the artifact's hash is damaged but surely this artifact's.

    The hash and its check are two witnesses: either one names the artifact, and only
    both together name another one.

    Raises:
        StateError: it is another artifact's state.
        sqlite3.DatabaseError: nobody can tell whose it is.
    """
    query = "SELECT sha256, sha256_check FROM artifact"
    owner, check = connection.execute(query).fetchone() or (None, None)
    agree = check == _check_of(owner)
    if owner == artifact or check == _check_of(artifact):
        return "" if agree else "the hash of its artifact is damaged"
    if agree:
        raise StateError(
            f"{path} is the state of artifact {owner:.12}, not of {artifact:.12}: "
            "give another state directory, or forget this one with `fedp reset`"
        )
    raise sqlite3.DatabaseError("whose weights it holds is unknown")


def _find_damage(connection: sqlite3.Connection, weights_size: int) -> str:
    """One phrase on what is damaged; empty if nothing is."""
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        return "its structure is broken"
    good = {row.id for row in _good_rows(connection, weights_size)}
    bad = [str(number) for number in _ids(connection) if number not in good]
    return f"generation {', '.join(bad)} does not match its hash" if bad else ""


def _good_rows(connection: sqlite3.Connection, weights_size: int) -> Iterator[Row]:
    """Every generation that can be read and matches its hash, oldest first."""
    columns = ", ".join(Row._fields)
    query = f"SELECT {columns} FROM generations WHERE id = ?"
    for number in _ids(connection):
        try:
            row = Row(*connection.execute(query, (number,)).fetchone())
            fits = row.weights is None or len(row.weights) == weights_size
            if fits and content_hash(*row[1:-1]) == row.sha256:
                yield row
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, TypeError, UnicodeError):
            continue  # One unreadable row must not hide the others.


def _ids(connection: sqlite3.Connection) -> list[int]:
    """Ids in order, as far as they can be read."""
    found = []
    try:
        for (number,) in connection.execute("SELECT id FROM generations ORDER BY id"):
            found.append(number)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        pass
    return found


def _mend(
    directory: pathlib.Path, artifact: str, rows: Iterable[Row], damage: str
) -> sqlite3.Connection:
    """Puts a new file with the good rows in place of a damaged one.

    The damaged file stays beside it until the next mending or reset.
    """
    path, mended = directory / FILE, directory / _MENDED
    erase_leftovers(directory)
    with contextlib.closing(_connect_file(mended)) as connection:
        with transaction(connection):
            _make_tables(connection, artifact, damage)
            insert = "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?)"
            connection.executemany(insert, rows)
    # A copy, so that at every instant there is a file to open or to mend again.
    shutil.copyfile(path, directory / _DAMAGED)
    (directory / _DAMAGED).chmod(0o600)
    # The old journal must not be played into the new file.
    _erase_file(directory / (FILE + _JOURNAL))
    os.replace(mended, path)
    return _connect_file(path)
