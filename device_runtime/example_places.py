"""Which local examples stay: the newest ones, or a sample of all that came.

The sample is that of Vitter, "Random Sampling with a Reservoir" (1985, Algorithm R).
"""

from __future__ import annotations

import math
import sqlite3

import numpy as np

from fedp.device_runtime import age_clock, facts, state_rows
from fedp.device_runtime.errors import DataError

POLICIES = ("newest", "reservoir")
_TABLE = "examples"


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
    drop_beyond_capacity(connection)


def make_room(connection: sqlite3.Connection, seen: int) -> bool:
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


def drop_beyond_capacity(connection: sqlite3.Connection) -> None:
    """Deletes what is more than the capacity."""
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


def drop_expired(connection: sqlite3.Connection, now: float) -> int:
    """Deletes what is older than the age limit; how many there were."""
    (before,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    query = "DELETE FROM examples WHERE age_clock < ?"
    connection.execute(query, (oldest(connection, now),))
    return removed(connection, before)


def removed(connection: sqlite3.Connection, before: int) -> int:
    """Lets the count of what came shrink with what is left of it."""
    (left,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    if left < before:
        share = left / before
        facts.put(connection, "seen", max(left, round(seen(connection) * share)))
    return before - int(left)


def seen(connection: sqlite3.Connection) -> int:
    """How many came; at least those that are here."""
    (held,) = connection.execute("SELECT count(*) FROM examples").fetchone()
    return max(facts.get(connection, "seen") or 0, int(held))


def oldest(connection: sqlite3.Connection, now: float) -> float:
    """Time on the age clock before which examples are too old."""
    limit = facts.get(connection, "age_limit")
    return -math.inf if limit is None else now - limit
