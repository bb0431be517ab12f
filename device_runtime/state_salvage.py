"""What is good in a state file, row by row: weights are large."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from fedp.device_runtime import facts, state_rows
from fedp.device_runtime.page_scan import scan
from fedp.device_runtime.schema_1 import owner_1, read_1
from fedp.device_runtime.state_schema import SCHEMA, SCHEMA_VERSION

_NOUNS = {
    "facts": "setting",
    "generations": "generation",
    "examples": "example",
    "outcomes": "outcome",
    "unfinished": "unfinished adaptation",
}


class Owner(NamedTuple):
    """Whom a state is opened for.

    Attributes:
        artifact: SHA-256 of the artifact, in hex.
        weights_size: length of its generations' weights, in bytes.
    """

    artifact: str
    weights_size: int


@dataclasses.dataclass
class Found:
    """What a look at a state file says.

    Attributes:
        version: of its schema; 0 if it is not known.
        notes: phrases on its damage, apart from rows.
        bad: ids of rows that do not match their hash, by table.
        last_ids: highest id that each table ever gave.
    """

    version: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    bad: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    last_ids: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def damage(self) -> str:
        """One phrase on all of it; empty if nothing is damaged."""
        rows = [
            f"{_NOUNS[table]} {', '.join(map(str, bad))} does not match its hash"
            for table, bad in self.bad.items()
            if bad
        ]
        return "; ".join([*dict.fromkeys(self.notes), *rows])


def check(connection: sqlite3.Connection, version: int, owner: Owner) -> Found:
    """Reads all rows of any version's file and compares them with their hashes."""
    found = Found(version)
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        found.notes.append("its structure is broken")
    first = None
    if version == 1:
        first, note = owner_1(connection, owner.artifact)
        found.notes += [note] if note else []
    for table in ("generations",) if version == 1 else SCHEMA:
        if table != "facts":
            with contextlib.suppress(sqlite3.DatabaseError):
                last = state_rows.next_id(connection, table) - 1
                found.last_ids[table] = last
        for number in state_rows.ids(connection, table):
            if version == 1:
                row = read_1(connection, number, first) if first else None
            else:
                row = state_rows.read(connection, table, number)
            if not (row and fits(table, row, owner)):
                found.bad.setdefault(table, []).append(number)
    return found


def rows_1(
    connection: sqlite3.Connection, owner: Owner
) -> list[tuple[str, tuple[Any, ...]]]:
    """Table and row, as today's schema has it, of all that is good in schema 1."""
    first, _ = owner_1(connection, owner.artifact)
    numbers = state_rows.ids(connection, "generations") if first else []
    rows = [read_1(connection, number, str(first)) for number in numbers]
    good = [row for row in rows if row and fits("generations", row, owner)]
    return [("generations", row) for row in good]


def good_rows(
    path: pathlib.Path, owner: Owner, found: Found
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Table and row of all that is good in a damaged file of today's schema.

    Args:
        path: of the file.
        owner: whom it is opened for.
        found: what `check` said; when all rows are read, it says what is really lost.
    """
    for table, row in scan(path, owner.artifact):
        if table == "sqlite_sequence":
            if row[0] in SCHEMA and row[0] not in found.last_ids:
                found.last_ids[row[0]] = row[1]
        elif fits(table, row, owner):
            if row[0] in found.bad.get(table, ()):
                found.bad[table].remove(row[0])
                if table == "generations":
                    found.notes.append("the hash of its artifact is damaged")
            yield table, row


def is_ours(path: pathlib.Path) -> bool:
    """Whether a file that SQLite cannot make sense of holds today's schema."""
    with contextlib.suppress(OSError):
        for table, row in scan(path):
            if table == "facts" and facts.is_value(row, "schema", SCHEMA_VERSION):
                return True
    return False


def fits(table: str, row: tuple[Any, ...], owner: Owner) -> bool:
    """Whether weights of this artifact have its length; of others nobody knows."""
    if table != "generations" or row[1] != owner.artifact or row[6] is None:
        return True
    return len(row[6]) == owner.weights_size
