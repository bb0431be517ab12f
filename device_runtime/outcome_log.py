"""How often the served model was right of late: what a watch for drift reads."""

from __future__ import annotations

import datetime
import sqlite3
from typing import NamedTuple

from fedp.device_runtime import state_rows

KEPT_OUTCOMES = 1000
_TABLE = "outcomes"


class LoggedOutcome(NamedTuple):
    """What became of one answer, or of a few at once.

    Attributes:
        id: grows with every row.
        generation: id of the generation that answered; None: the initial model.
        live_correct: share of its labels that the live model hit, 0..1.
        initial_correct: the same of the initial model, where that was asked too.
        created: UTC time, ISO 8601.
    """

    id: int
    generation: int | None
    live_correct: float
    initial_correct: float | None
    created: str


def add(
    connection: sqlite3.Connection,
    generation: int | None,
    live_correct: float,
    initial_correct: float | None,
) -> int:
    """Appends a row and drops the oldest beyond the kept ones."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    initial = None if initial_correct is None else float(initial_correct)
    values = (generation, float(live_correct), initial, now)
    number = state_rows.insert(connection, _TABLE, *values)
    connection.execute(
        "DELETE FROM outcomes WHERE id NOT IN "
        "(SELECT id FROM outcomes ORDER BY id DESC LIMIT ?)",
        (KEPT_OUTCOMES,),
    )
    return number


def newest(connection: sqlite3.Connection, limit: int) -> list[LoggedOutcome]:
    """The last `limit` good rows, newest last."""
    query = "SELECT id FROM outcomes ORDER BY id DESC LIMIT ?"
    numbers = [number for (number,) in connection.execute(query, (limit,))]
    rows = (state_rows.read(connection, _TABLE, n) for n in reversed(numbers))
    return [LoggedOutcome(*row[:-1]) for row in rows if row]
