"""A clock for the age of examples that no jump of the wall clock can mislead far."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from fedp.device_runtime import facts

# Most seconds that one step of the wall clock counts for, where no limit says so.
_LONGEST_STEP = 15 * 86_400.0


class _Now(NamedTuple):
    """The clock's facts, named as in the state, all in seconds."""

    wall: float
    age_clock: float
    latest: float
    since: float


def read(connection: sqlite3.Connection, wall: float) -> float:
    """Seconds on the age clock; `wall` is the wall clock now.

    What passed since the last change of the state is added. A wall clock that went
    back adds nothing, and when it comes back to where it was before, that has been
    counted already: devices without a clock of their own begin in 1970 every time. One
    step adds half the age limit at most, so that a jump forward cannot expire what was
    added shortly before it.
    """
    return _now(connection, wall).age_clock


def advance(connection: sqlite3.Connection, wall: float) -> float:
    """Like `read`, and remembers it."""
    now = _now(connection, wall)
    for name, value in now._asdict().items():
        facts.put(connection, name, value)
    return now.age_clock


def _now(connection: sqlite3.Connection, wall: float) -> _Now:
    last, age = facts.get(connection, "wall"), facts.get(connection, "age_clock")
    if age is None:  # New, or its row was damaged: as late as the newest example.
        query = "SELECT max(age_clock) FROM examples"
        age = connection.execute(query).fetchone()[0] or 0.0
    last = wall if last is None else last
    latest, since = facts.get(connection, "latest"), facts.get(connection, "since")
    latest = last if latest is None else latest
    passed = wall - latest - since if wall >= latest else wall - last
    limit = facts.get(connection, "age_limit")
    longest = _LONGEST_STEP if limit is None else limit / 2
    passed = min(max(passed, 0.0), longest)
    if wall >= latest:
        return _Now(float(wall), age + passed, float(wall), 0.0)
    return _Now(float(wall), age + passed, latest, since + passed)
