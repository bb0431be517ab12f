"""A bounded store of local examples: the newest ones, or a sample of all that came.

The sample is that of Vitter, "Random Sampling with a Reservoir" (1985, Algorithm R).
"""

from __future__ import annotations

import datetime
import json
import math
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fedp.device_runtime import age_clock, facts, state_rows
from fedp.device_runtime.errors import DataError

POLICIES = ("newest", "reservoir")
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
    drop_expired(connection, now)
    seen = _seen(connection) + 1
    facts.put(connection, "seen", seen)
    number = state_rows.next_id(connection, _TABLE)
    if facts.get(connection, "policy") == "reservoir" and not _make_room(
        connection, seen
    ):
        query = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
        connection.execute(query, (number, _TABLE))
        return number
    created = datetime.datetime.now(datetime.timezone.utc).isoformat()
    parts = (*_pack(x), *_pack(np.asarray(y)))
    state_rows.put(connection, _TABLE, number, now, created, source, *parts)
    _drop_beyond_capacity(connection)
    return number


def read(connection: sqlite3.Connection, wall: float) -> Examples:
    """All good examples of the newest one's types and shapes, which are not too old."""
    query = "SELECT id FROM examples WHERE age_clock >= ? ORDER BY id"
    oldest = _oldest(connection, age_clock.read(connection, wall))
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
    oldest = _oldest(connection, age_clock.read(connection, wall))
    query = "SELECT count(*) FROM examples WHERE age_clock >= ?"
    return int(connection.execute(query, (oldest,)).fetchone()[0])


def delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Deletes examples by id; how many there were."""
    (before,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    query = "DELETE FROM examples WHERE id = ?"
    connection.executemany(query, [(int(number),) for number in numbers])
    return _removed(connection, before)


def drop_expired(connection: sqlite3.Connection, now: float) -> int:
    """Deletes what is older than the age limit; how many there were."""
    (before,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    oldest = _oldest(connection, now)
    connection.execute("DELETE FROM examples WHERE age_clock < ?", (oldest,))
    return _removed(connection, before)


def configure(
    connection: sqlite3.Connection,
    capacity: int | None,
    age_limit_seconds: float | None,
    policy: str | None,
    seed: int | None,
    wall: float,
) -> None:
    """Changes what is not None, and drops at once what no longer has a place.

    Raises:
        DataError: a value that means nothing.
    """
    if capacity is not None and capacity < 1:
        raise DataError(f"capacity of {capacity} examples: give 1 or more")
    if age_limit_seconds is not None and not age_limit_seconds > 0:
        raise DataError(f"age limit of {age_limit_seconds} s: give more than 0")
    if policy is not None and policy not in POLICIES:
        raise DataError(f"policy {policy!r}: give one of {', '.join(POLICIES)}")
    limit = age_limit_seconds
    if limit is not None and math.isinf(limit):
        facts.put(connection, "age_limit", None)
        limit = None
    given = {"capacity": capacity, "age_limit": limit, "policy": policy, "seed": seed}
    for name, value in given.items():
        if value is not None:
            facts.put(connection, name, value)
    drop_expired(connection, age_clock.advance(connection, wall))
    _drop_beyond_capacity(connection)


def _make_room(connection: sqlite3.Connection, seen: int) -> bool:
    """Whether example number `seen` enters the reservoir; if so, there is room."""
    (held,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    capacity = facts.get(connection, "capacity")
    if held < capacity:
        return True
    # A draw by number, not by a generator's state: a crash cannot repeat or skip one.
    random = np.random.default_rng((facts.get(connection, "seed"), seen))
    place = int(random.integers(seen))
    if place >= capacity:
        return False
    query = "DELETE FROM examples WHERE id = (SELECT id FROM examples LIMIT 1 OFFSET ?)"
    connection.execute(query, (place,))
    return True


def _drop_beyond_capacity(connection: sqlite3.Connection) -> None:
    (held,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    capacity = facts.get(connection, "capacity")
    if held <= capacity:
        return
    if facts.get(connection, "policy") == "newest":
        query = "SELECT id FROM examples ORDER BY id LIMIT ?"
        parameters = (held - capacity,)
        dropped = [n for (n,) in connection.execute(query, parameters)]
    else:  # A sample of a sample is one.
        numbers = state_rows.ids(connection, _TABLE)
        random = np.random.default_rng((facts.get(connection, "seed"), 0, held))
        dropped = random.permutation(numbers)[: held - capacity].tolist()
    query = "DELETE FROM examples WHERE id = ?"
    connection.executemany(query, [(number,) for number in dropped])


def _removed(connection: sqlite3.Connection, before: int) -> int:
    """Lets the count of what came shrink with what is left of it."""
    (left,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    if left < before:
        share = left / before
        facts.put(connection, "seen", max(left, round(_seen(connection) * share)))
    return before - int(left)


def _seen(connection: sqlite3.Connection) -> int:
    """How many came; at least those that are here."""
    (held,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    return max(facts.get(connection, "seen") or 0, int(held))


def _oldest(connection: sqlite3.Connection, now: float) -> float:
    limit = facts.get(connection, "age_limit")
    return -math.inf if limit is None else now - limit


def _pack(array: np.ndarray) -> tuple[str, bytes]:
    """Type and shape as JSON, and the raw numbers, little-endian."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"an example of type {array.dtype}: give numbers")
    array = array.astype(array.dtype.newbyteorder("<"), order="C")
    return json.dumps([array.dtype.str, list(array.shape)]), array.tobytes()


def _unpack(kind: str, raw: bytes) -> np.ndarray:
    name, shape = json.loads(kind)
    return np.frombuffer(raw, np.dtype(name)).reshape(shape)
