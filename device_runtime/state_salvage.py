"""The good rows of a state file, read one by one: weights are large."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from fedp.device_runtime import state_rows
from fedp.device_runtime.schema_1 import owner_1, read_1
from fedp.device_runtime.state_schema import SCHEMA

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
    """What a look at a state file's rows says.

    Attributes:
        version: of its schema; 0 if it is not known.
        last_ids: highest id that each table ever gave.
        damage: one phrase on what is missing; empty if nothing is.
    """

    version: int = 0
    last_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    damage: str = ""

    @property
    def lost(self) -> bool:
        """Whether damage may have taken what was released; schema 1 knew of none."""
        return self.damage != "" and self.version != 1


def check(connection: sqlite3.Connection, version: int, owner: Owner) -> Found:
    """Reads all rows of any version's file and compares them with their hashes."""
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    damage = ["its structure is broken"] if result != "ok" else []
    found = Found(version)
    for table in _tables(version):
        if table != "facts":
            with contextlib.suppress(sqlite3.DatabaseError):
                last = state_rows.next_id(connection, table) - 1
                found.last_ids[table] = last
        bad = []
        for number, row, note in _rows(connection, version, table, owner):
            if note and note not in damage:
                damage.append(note)
            if row is None:
                bad.append(str(number))
        if bad:
            damage.append(f"{_NOUNS[table]} {', '.join(bad)} does not match its hash")
    found.damage = "; ".join(damage)
    return found


def good_rows(
    connection: sqlite3.Connection, version: int, owner: Owner
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Table and row, as today's schema has it, of all that `check` finds good."""
    for table in _tables(version):
        for _, row, _ in _rows(connection, version, table, owner):
            if row is not None:
                yield table, row


def _tables(version: int) -> tuple[str, ...]:
    if version == 0:
        return ()
    return ("generations",) if version == 1 else tuple(SCHEMA)


def _rows(
    connection: sqlite3.Connection, version: int, table: str, owner: Owner
) -> Iterator[tuple[int, Any, str]]:
    """Id, row (None of a bad one), and a phrase on what was mended in it."""
    first, first_note = None, ""
    if version == 1:
        first, first_note = owner_1(connection, owner.artifact)
    for number in state_rows.ids(connection, table):
        if version == 1:
            row = read_1(connection, number, first) if first else None
            note = first_note
        else:
            row, note = state_rows.read(connection, table, number), ""
            if row is None and table == "generations":
                row, note = _named(connection, number, owner.artifact)
        if row and table == "generations" and not _fits(row, owner):
            row = None
        yield number, row, note


def _named(
    connection: sqlite3.Connection, number: int, artifact: str
) -> tuple[Any, str]:
    """Takes back a generation of which only the artifact's hash is damaged.

    The row's own hash is the second witness: it fits one artifact alone.
    """
    row = state_rows.read_unchecked(connection, "generations", number)
    if row:
        named = (row[0], artifact, *row[2:-1])
        if state_rows.row_hash("generations", *named) == row[-1]:
            return (*named, row[-1]), "the hash of its artifact is damaged"
    return None, ""


def _fits(row: tuple[Any, ...], owner: Owner) -> bool:
    """Whether weights of this artifact have its length; of others nobody knows."""
    weights = row[6]
    if row[1] != owner.artifact or weights is None:
        return True
    return len(weights) == owner.weights_size
