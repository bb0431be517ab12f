"""What a state counts of its artifact's adaptations, for as long as it lives.

Numbers alone; they outlive the generations that they count. `forget` sets them back,
since they tell how well the forgotten examples could be learned.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from fedp.device_runtime import facts

# Numbers of artifacts that are gone are kept for a device that goes back to one.
_KEPT_ARTIFACTS = 4
_NAME = 16  # Digits of an artifact's hash that name it here.


class Figures(NamedTuple):
    """What an adaptation's decision was made on.

    Attributes:
        examples: how many it had.
        accuracy_before: of the initial model on the guard's evidence, 0..1; None
            without evidence, or where labels are not classes.
        accuracy_after: of the model that went live, on the same examples.
    """

    examples: int = 0
    accuracy_before: float | None = None
    accuracy_after: float | None = None


class Counters(NamedTuple):
    """One artifact's numbers in a state.

    Attributes:
        adaptations: how often the guard decided.
        kept: how often it let a personalized model live.
        withdrawn: how often the watch took one back later.
        rollbacks: how often somebody forgot the live generation.
        figures: of the last adaptation.
    """

    adaptations: int = 0
    kept: int = 0
    withdrawn: int = 0
    rollbacks: int = 0
    figures: Figures = Figures()

    @property
    def reverted(self) -> int:
        """How often the guard left the initial model live."""
        return self.adaptations - self.kept


def read(connection: sqlite3.Connection, artifact: str) -> Counters:
    """An artifact's numbers; all 0 before its first adaptation."""
    found = _all(connection).get(artifact[:_NAME])
    if found is None:
        return Counters()
    *counts, figures = found
    return Counters(*counts)._replace(figures=Figures(*figures))


def adapted(
    connection: sqlite3.Connection, artifact: str, kept: bool, figures: Figures
) -> None:
    """Counts an adaptation that was decided on."""
    old = read(connection, artifact)
    figures = Figures(int(figures.examples), *map(_share, figures[1:]))
    counts = {"adaptations": old.adaptations + 1, "kept": old.kept + bool(kept)}
    _write(connection, artifact, old._replace(**counts, figures=figures))


def withdrawn(connection: sqlite3.Connection, artifact: str) -> None:
    """Counts a personalized model that the watch took back."""
    old = read(connection, artifact)
    _write(connection, artifact, old._replace(withdrawn=old.withdrawn + 1))


def rolled_back(connection: sqlite3.Connection, artifact: str) -> None:
    """Counts a live generation that was forgotten."""
    old = read(connection, artifact)
    _write(connection, artifact, old._replace(rollbacks=old.rollbacks + 1))


def forget(connection: sqlite3.Connection) -> None:
    """Sets all artifacts' numbers back."""
    facts.put(connection, "counters", {})


def _share(value: float | None) -> float | None:
    """A number from 0 to 1; None of anything else, such as NaN."""
    return float(value) if value is not None and 0 <= value <= 1 else None


def _all(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Numbers of each artifact, the last one changed at the end."""
    found: dict[str, list[Any]] = facts.get(connection, "counters") or {}
    return found


def _write(connection: sqlite3.Connection, artifact: str, new: Counters) -> None:
    numbers = _all(connection)
    numbers.pop(artifact[:_NAME], None)
    numbers[artifact[:_NAME]] = list(new)
    last = list(numbers.items())[-_KEPT_ARTIFACTS:]
    facts.put(connection, "counters", dict(last))
