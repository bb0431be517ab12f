"""The tables of the state file, and the good rows that any version of it holds."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from fedp.device_runtime import facts, state_rows
from fedp.device_runtime.errors import StateError

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

# The tables of schema 1, which held the generations of one artifact alone.
SCHEMA_1 = {
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

_NOUNS = {
    "facts": "setting",
    "generations": "generation",
    "examples": "example",
    "outcomes": "outcome",
    "unfinished": "unfinished adaptation",
}


@dataclasses.dataclass
class Content:
    """The good rows of a state file.

    Attributes:
        rows: of each table, in the order of ids, hash included.
        last_ids: highest id that each table ever gave.
        damage: one phrase on what is missing; empty if nothing is.
        version: of the schema that they were found in; 0 if it is not known.
    """

    rows: dict[str, list[tuple[Any, ...]]] = dataclasses.field(default_factory=dict)
    last_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    damage: str = ""
    version: int = 0


def tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Statement that made each table."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())


def make_tables(connection: sqlite3.Connection, content: Content) -> None:
    """Makes all tables in an empty database and fills them."""
    for statement in SCHEMA.values():
        connection.execute(statement)
    for table, rows in content.rows.items():
        for row in rows:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    for table, last in content.last_ids.items():
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))
    # Schema 1 knew of no releases: no damage can have taken one.
    facts.start(connection, mended=content.damage != "" and content.version != 1)
    if content.damage:
        facts.put(connection, "damage", content.damage)
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


def salvage(
    connection: sqlite3.Connection, version: int, artifact: str, weights_size: int
) -> Content:
    """All rows that can be read and match their hash.

    Args:
        connection: to a file of that version.
        version: 1 or 2.
        artifact: hash of the one that the state is opened for.
        weights_size: length of its generations' weights, in bytes.
    """
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    damage = ["its structure is broken"] if result != "ok" else []
    content = Content(version=version)
    for table in SCHEMA if version == SCHEMA_VERSION else ("generations",):
        known = state_rows.ids(connection, table)
        with contextlib.suppress(sqlite3.DatabaseError):
            content.last_ids[table] = state_rows.next_id(connection, table) - 1
        if version == 1:
            rows, note = _rows_1(connection, known, artifact)
            damage += note
        else:
            rows = [state_rows.read(connection, table, number) for number in known]
            if table == "generations":
                rows, note = _named(connection, known, rows, artifact)
                damage += note
        content.rows[table] = [
            row
            for row in rows
            if row and (table != "generations" or _fits(row, artifact, weights_size))
        ]
        good = {row[0] for row in content.rows[table]}
        bad = ", ".join(str(number) for number in known if number not in good)
        if bad:
            damage.append(f"{_NOUNS[table]} {bad} does not match its hash")
    content.last_ids.pop("facts", None)
    content.damage = "; ".join(damage)
    return content


def _fits(row: tuple[Any, ...], artifact: str, weights_size: int) -> bool:
    """Whether weights of this artifact have its length; of others nobody knows."""
    weights = row[6]
    return row[1] != artifact or weights is None or len(weights) == weights_size


def _named(
    connection: sqlite3.Connection, known: list[int], rows: list[Any], artifact: str
) -> tuple[list[Any], list[str]]:
    """Takes back generations of which only the artifact's hash is damaged.

    The row's own hash is the second witness: it fits one artifact alone.
    """
    note: list[str] = []
    for at, number in enumerate(known):
        row = None
        if rows[at] is None:
            row = state_rows.read_unchecked(connection, "generations", number)
        if row:
            named = (row[0], artifact, *row[2:-1])
            if state_rows.row_hash("generations", *named) == row[-1]:
                rows[at] = (*named, row[-1])
                note = ["the hash of its artifact is damaged"]
    return rows, note


def _rows_1(
    connection: sqlite3.Connection, known: list[int], artifact: str
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Generations of schema 1 as rows of today's."""
    query = "SELECT sha256, sha256_check FROM artifact"
    owner, check = connection.execute(query).fetchone() or (None, None)
    note = []
    if check != _sha256(str(owner)):
        # The hash and its check are two witnesses: either one names the artifact.
        if owner != artifact and check != _sha256(artifact):
            return [], ["whose weights it holds is unknown"]
        owner, note = artifact, ["the hash of its artifact is damaged"]
    rows = []
    for number in known:
        row = state_rows.read_unchecked(connection, "generations", number)
        if row and _hash_1(*row[1:-1]) == row[-1]:
            values = (row[0], owner, *row[1:-1])
            rows.append((*values, state_rows.row_hash("generations", *values)))
    return rows, note


def drop_tables_1(connection: sqlite3.Connection) -> None:
    """Removes what schema 1 made."""
    for table in SCHEMA_1:
        connection.execute(f"DROP TABLE {table}")


def _hash_1(*values: Any) -> str:
    *texts, weights = values
    if not all(isinstance(text, str) for text in texts):
        return ""
    size = -1 if weights is None else len(weights)
    joined = "\0".join(texts).encode()
    return hashlib.sha256(b"%s\0%d\0%s" % (joined, size, weights or b"")).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
