"""Rows of the state file: each has an id that only rises and a hash of all it says."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

_HIGHEST_ID = 1 << 53  # More than this is a damaged counter.


def row_hash(table: str, *values: object) -> str:
    """SHA-256 in hex over a table's name and a row's values, the id among them."""
    digest = hashlib.sha256(table.encode())
    for value in values:
        if isinstance(value, bytes):
            kind, raw = b"b", value
        elif isinstance(value, str):
            kind, raw = b"s", value.encode()
        else:
            kind, raw = b"n", repr(value).encode()
        digest.update(b"\0%s%d\0" % (kind, len(raw)))
        digest.update(raw)
    return digest.hexdigest()


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """One more than any id that the table ever gave."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    given = [seq for (seq,) in connection.execute(query, (table,))]
    given += [connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]]
    sane = (n for n in given if isinstance(n, int) and 0 <= n < _HIGHEST_ID)
    return max(sane, default=0) + 1


def insert(connection: sqlite3.Connection, table: str, *values: Any) -> int:
    """Appends a row of these values and returns its id."""
    number = next_id(connection, table)
    put(connection, table, number, *values)
    return number


def put(connection: sqlite3.Connection, table: str, number: int, *values: Any) -> None:
    """Writes a row under an id, in place of the one that was there."""
    row = (number, *values, row_hash(table, number, *values))
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)


def read(connection: sqlite3.Connection, table: str, number: int) -> Any:
    """A row as a tuple; None where there is none or it does not match its hash."""
    row = read_unchecked(connection, table, number)
    return row if row and row_hash(table, *row[:-1]) == row[-1] else None


def read_unchecked(connection: sqlite3.Connection, table: str, number: int) -> Any:
    """A row as a tuple; None where there is none or it cannot be read."""
    query = f"SELECT * FROM {table} WHERE id = ?"
    try:
        return connection.execute(query, (number,)).fetchone()
    except sqlite3.OperationalError:  # Locked or unreadable now; not damaged.
        raise
    except (sqlite3.DatabaseError, UnicodeError):
        return None  # One unreadable row must not hide the others.


def ids(connection: sqlite3.Connection, table: str) -> list[int]:
    """Ids in order, as far as they can be read."""
    found: dict[int, None] = {}
    try:
        for (number,) in connection.execute(f"SELECT id FROM {table} ORDER BY id"):
            found[number] = None
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        pass
    return list(found)
