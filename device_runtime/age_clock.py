"""A clock for the age of examples that no jump of the wall clock can mislead far."""

from __future__ import annotations

import sqlite3

from fedp.device_runtime import facts

# Most seconds that one step of the wall clock counts for, where no limit says so.
_LONGEST_STEP = 15 * 86_400.0


def read(connection: sqlite3.Connection, wall: float) -> float:
    """Seconds on the age clock; `wall` is the wall clock now.

    What passed since the last change of the state is added. A wall clock that went
    back adds nothing. One step adds half the age limit at most, so that a jump forward
    cannot expire what was added shortly before it.
    """
    last, age = facts.get(connection, "wall"), facts.get(connection, "age_clock")
    if age is None:  # New, or its row was damaged: as late as the newest example.
        query = "SELECT max(age_clock) FROM examples"
        age = connection.execute(query).fetchone()[0] or 0.0
    limit = facts.get(connection, "age_limit")
    longest = _LONGEST_STEP if limit is None else limit / 2
    passed = 0.0 if last is None else wall - last
    return float(age) + min(max(passed, 0.0), longest)


def advance(connection: sqlite3.Connection, wall: float) -> float:
    """Like `read`, and remembers it."""
    now = read(connection, wall)
    facts.put(connection, "age_clock", now)
    facts.put(connection, "wall", float(wall))
    return now
