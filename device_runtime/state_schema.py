"""The tables of the state file."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Iterable
from typing import Any

from fedp.device_runtime import facts
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.schema_1 import SCHEMA_1

SCHEMA_VERSION = 2

_ID = "id INTEGER PRIMARY KEY AUTOINCREMENT"
SCHEMA = {
    "facts": (
        "CREATE TABLE facts (id INTEGER PRIMARY KEY, value TEXT NOT NULL, "
        "sha256 TEXT NOT NULL)"
    ),
    "generations": (
        f"CREATE TABLE generations ({_ID}, artifact TEXT NOT NULL, "
        "created TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, "
        "evidence TEXT NOT NULL, weights BLOB, sha256 TEXT NOT NULL)"
    ),
    "examples": (
        f"CREATE TABLE examples ({_ID}, age_clock REAL NOT NULL, "
        "created TEXT NOT NULL, source TEXT NOT NULL, x_type TEXT NOT NULL, "
        "x BLOB NOT NULL, y_type TEXT NOT NULL, y BLOB NOT NULL, sha256 TEXT NOT NULL)"
    ),
    "outcomes": (
        f"CREATE TABLE outcomes ({_ID}, generation INTEGER, "
        "live_correct REAL NOT NULL, initial_correct REAL, created TEXT NOT NULL, "
        "sha256 TEXT NOT NULL)"
    ),
    "unfinished": (
        f"CREATE TABLE unfinished ({_ID}, artifact TEXT NOT NULL, key TEXT NOT NULL, "
        "content BLOB NOT NULL, sha256 TEXT NOT NULL)"
    ),
}


def tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Statement that made each table."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())


def make_tables(
    connection: sqlite3.Connection,
    rows: Iterable[tuple[str, tuple[Any, ...]]] = (),
    last_ids: dict[str, int] | None = None,
    *,
    lost: bool = False,
) -> None:
    """Makes all tables in an empty database and fills them.

    Args:
        connection: in a transaction.
        rows: a table's name and a row of it, hash included.
        last_ids: highest id that each table ever gave.
        lost: whether there may have been releases that are not among the rows.
    """
    for statement in SCHEMA.values():
        connection.execute(statement)
    for table, row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    for table, last in (last_ids or {}).items():
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))
    facts.start(connection, lost=lost)
    facts.put(connection, "schema", SCHEMA_VERSION)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def version_of(connection: sqlite3.Connection, path: pathlib.Path) -> int:
    """The schema's version, after a look at the tables.

    Raises:
        StateError: another program's or a newer release's database.
        sqlite3.DatabaseError: the schema is broken.
    """
    found = tables(connection)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    wanted = SCHEMA_1 if version == 1 else SCHEMA
    if "generations" not in found or not found.keys() >= wanted.keys():
        raise StateError(
            f"{path} is another program's database: give another state directory"
        )
    if version not in (1, SCHEMA_VERSION):
        raise StateError(
            f"{path} has schema {version}, this fedp knows 1 to {SCHEMA_VERSION}: use "
            "the fedp release that wrote it, or forget the state with `fedp reset`"
        )
    if any(found[name] != statement for name, statement in wanted.items()):
        raise sqlite3.DatabaseError("its schema is broken")
    return int(version)
