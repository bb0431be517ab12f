"""Single values of a state: its settings, its counters, its clock."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import Any

from fedp.device_runtime import state_rows

# Row of each value; a number once given stays.
_ROWS = {
    "damage": 1,  # What was found damaged since the last commit, a phrase.
    "era": 2,  # A random word that changes when everything is forgotten.
    "capacity": 3,  # Most examples that are kept.
    "age_limit": 4,  # Seconds after which an example goes; None: never.
    "policy": 5,  # "newest" or "reservoir".
    "seed": 6,  # Of the reservoir.
    "seen": 7,  # Examples that came, for the reservoir.
    "wall": 8,  # The wall clock at the last change, seconds.
    "age_clock": 9,  # Seconds that passed by a clock that only rises.
    "counters": 10,  # What `counters` counts, by artifact.
    "releases": 11,  # What was released with epsilon; None: damage has taken it.
    "schema": 12,  # Its version, where the file's own word may be damaged.
    "latest": 13,  # The latest that the wall clock has shown, seconds.
    "since": 14,  # Seconds that the age clock has counted since then.
}
_DEFAULTS: dict[str, Any] = {
    "damage": "",
    "era": "",
    "capacity": 1000,
    "age_limit": None,
    "policy": "newest",
    "seed": 0,
    "seen": None,
    "wall": None,
    "age_clock": None,
    "counters": None,
    "releases": None,
    "schema": None,
    "latest": None,
    "since": 0.0,
}


def start(connection: sqlite3.Connection, *, lost: bool = False) -> None:
    """Gives a new state its first values, where it has none.

    Args:
        connection: to the new file.
        lost: whether there may have been releases that damage has taken.
    """
    if get(connection, "releases") is None and not lost:
        put(connection, "releases", "")
    if not get(connection, "era"):
        put(connection, "era", new_era())
    if not get(connection, "seed"):
        put(connection, "seed", int.from_bytes(os.urandom(6), "big"))


def is_value(row: tuple[Any, ...], name: str, value: Any) -> bool:
    """Whether a row says that a value is this."""
    return row[:2] == (_ROWS[name], json.dumps(value))


def new_era() -> str:
    """A word that no other state has."""
    return os.urandom(8).hex()


def get(connection: sqlite3.Connection, name: str) -> Any:
    """A value, or its default."""
    row = state_rows.read(connection, "facts", _ROWS[name])
    return json.loads(row[1]) if row else _DEFAULTS[name]


def put(connection: sqlite3.Connection, name: str, value: Any) -> None:
    """Writes a value."""
    state_rows.put(connection, "facts", _ROWS[name], json.dumps(value))
