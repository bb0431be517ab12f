"""Generations of personal weights: who made them, why, and which one is live."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from fedp.device_runtime import state_rows

_TABLE = "generations"


class Row(NamedTuple):
    """One generation as it is stored.

    Attributes:
        id: grows with every generation; the order is by id, never by the clock.
        artifact: SHA-256 of the artifact whose model it is, in hex.
        created: UTC time, ISO 8601.
        decision: "keep" or "revert".
        reason: the guard's sentence.
        evidence: JSON of what the guard saw.
        weights: raw float32, or None where the initial model is live.
        sha256: `row_hash` of all the others.
    """

    id: int
    artifact: str
    created: str
    decision: str
    reason: str
    evidence: str
    weights: bytes | None
    sha256: str


def newest(connection: sqlite3.Connection, artifact: str, skip: int) -> Row | None:
    """An artifact's newest good generation, or the one `skip` before it."""
    for row in _good(connection, artifact):
        if skip == 0:
            return row
        skip -= 1
    return None


def live_id(connection: sqlite3.Connection, artifact: str) -> int | None:
    """Id of the newest generation; None where the initial model is live."""
    query = (
        "SELECT id, weights IS NULL FROM generations WHERE artifact = ? "
        "ORDER BY id DESC LIMIT 1"
    )
    number, initial = connection.execute(query, (artifact,)).fetchone() or (None, True)
    return None if initial else number


def count(connection: sqlite3.Connection, artifact: str) -> int:
    """Number of an artifact's generations."""
    query = "SELECT count(*) FROM generations WHERE artifact = ?"
    return int(connection.execute(query, (artifact,)).fetchone()[0])


def add(
    connection: sqlite3.Connection,
    artifact: str,
    weights: bytes | None,
    *texts: str,
) -> int:
    """Makes a new generation the newest; texts: decision, reason, evidence."""
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("decision, reason and evidence are texts")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return state_rows.insert(connection, _TABLE, artifact, now, *texts, weights)


def prune(connection: sqlite3.Connection, artifact: str, keep: int) -> None:
    """Drops all but `keep`: other artifacts' before this one's, then the oldest."""
    connection.execute(
        "DELETE FROM generations WHERE id NOT IN (SELECT id FROM generations "
        "ORDER BY artifact = ? DESC, id DESC LIMIT ?)",
        (artifact, keep),
    )


def drop_newest(connection: sqlite3.Connection, artifact: str) -> bool:
    """Forgets an artifact's newest generation; whether there was one."""
    dropped = connection.execute(
        "DELETE FROM generations WHERE id = "
        "(SELECT max(id) FROM generations WHERE artifact = ?)",
        (artifact,),
    )
    return dropped.rowcount > 0


def _good(connection: sqlite3.Connection, artifact: str) -> Iterator[Row]:
    query = "SELECT id FROM generations WHERE artifact = ? ORDER BY id DESC"
    for (number,) in connection.execute(query, (artifact,)).fetchall():
        row = state_rows.read(connection, _TABLE, number)
        if row:
            yield Row(*row)
