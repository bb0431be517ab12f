"""Local examples as rows of the state: added, read, counted, deleted."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedp.device_runtime import age_clock, example_places, facts, state_rows
from fedp.device_runtime.errors import DataError

_TABLE = "examples"


class Examples(NamedTuple):
    """Stored examples, newest last.

    Attributes:
        ids: int64 [n].
        x: inputs [n, *input_shape], of the type they were given in.
        y: labels [n, *label_shape].
    """

    ids: np.ndarray
    x: np.ndarray
    y: np.ndarray


def add(
    connection: sqlite3.Connection,
    x: np.ndarray,
    y: np.ndarray | int,
    source: str,
    wall: float,
) -> int:
    """Stores one example, which may push out another; see `Store.add_example`."""
    now = age_clock.advance(connection, wall)
    example_places.drop_expired(connection, now)
    seen = example_places.seen(connection) + 1
    facts.put(connection, "seen", seen)
    number = state_rows.next_id(connection, _TABLE)
    sampled = facts.get(connection, "policy") == "reservoir"
    if sampled and not example_places.make_room(connection, seen):
        query = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
        connection.execute(query, (number, _TABLE))
        return number
    created = datetime.datetime.now(datetime.timezone.utc).isoformat()
    parts = (*_pack(x), *_pack(np.asarray(y)))
    state_rows.put(connection, _TABLE, number, now, created, source, *parts)
    example_places.drop_beyond_capacity(connection)
    return number


def read(connection: sqlite3.Connection, wall: float) -> Examples:
    """All good examples of the newest one's types and shapes, which are not too old."""
    query = "SELECT id FROM examples WHERE age_clock >= ? ORDER BY id"
    oldest = example_places.oldest(connection, age_clock.read(connection, wall))
    numbers = [number for (number,) in connection.execute(query, (oldest,))]
    rows = [state_rows.read(connection, _TABLE, number) for number in numbers]
    rows = [row for row in rows if row]
    # Those of an artifact with other inputs wait for it.
    rows = [row for row in rows if (row[4], row[6]) == (rows[-1][4], rows[-1][6])]
    ids = np.array([row[0] for row in rows], np.int64)
    if not rows:
        return Examples(ids, np.zeros(0, np.float32), np.zeros(0, np.int64))
    x = np.stack([_unpack(row[4], row[5]) for row in rows])
    y = np.stack([_unpack(row[6], row[7]) for row in rows])
    return Examples(ids, x, y)


def count(connection: sqlite3.Connection, wall: float) -> int:
    """How many are stored and not too old, whatever their shape."""
    oldest = example_places.oldest(connection, age_clock.read(connection, wall))
    query = "SELECT count(*) FROM examples WHERE age_clock >= ?"
    return int(connection.execute(query, (oldest,)).fetchone()[0])


def delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Deletes examples by id; how many there were."""
    (before,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    query = "DELETE FROM examples WHERE id = ?"
    connection.executemany(query, [(int(number),) for number in numbers])
    return example_places.removed(connection, before)


def _pack(array: np.ndarray) -> tuple[str, bytes]:
    """Type and shape as JSON, and the raw numbers, little-endian."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"an example of type {array.dtype}: give numbers")
    array = array.astype(array.dtype.newbyteorder("<"), order="C")
    return json.dumps([array.dtype.str, list(array.shape)]), array.tobytes()


def _unpack(kind: str, raw: bytes) -> np.ndarray:
    name, shape = json.loads(kind)
    return np.frombuffer(raw, np.dtype(name)).reshape(shape)
