"""Rounds of live processes in turns, one running while the others wait."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from device.peer import Peer
from device.process import Installed, PeerError, PeerProcess, Python


@dataclasses.dataclass
class Row:
    """A peer, where it lives, and what was measured of it.

    Attributes:
        key: its file's name.
        peer: what that file says.
        python: where it runs.
        installed: what is there for it; None if something is missing.
        failure: with what its process failed; "" if it did not.
        check: results of the first calls, from the initial weights.
        rounds: ms of every timed call of every round.
        peak_bytes: most resident memory of the process.
    """

    key: str
    peer: Peer
    python: Python
    installed: Installed | None
    failure: str = ""
    check: list[Any] = dataclasses.field(default_factory=list)
    rounds: list[list[float]] = dataclasses.field(default_factory=list)
    peak_bytes: int = 0

    @property
    def milliseconds(self) -> list[float]:
        """Of a call: the median of each round."""
        return [statistics.median(times) for times in self.rounds]


def prepare(rows: Sequence[Row], folder: pathlib.Path) -> None:
    """Lets every peer make its files."""
    for row in rows:
        if row.installed and not row.failure:
            print(f"preparing {row.peer.name}", file=sys.stderr)
            try:
                row.python.run("device.worker", "prepare", row.key, str(folder))
            except PeerError as error:
                row.failure = str(error)


def measure(
    rows: Sequence[Row],
    folder: pathlib.Path,
    task: str,
    title: str,
    *,
    core: int,
    check: int,
    rounds: int,
    warm: int,
    calls: int,
) -> None:
    """Fills in the rows; each round begins with another one.

    Args:
        rows: those that are not installed or have failed are left out.
        folder: of the work.
        task: see `device.worker`.
        title: of the task, for people.
        core: that all of them run on.
        check: first calls, not timed, whose results are kept.
        rounds: of all rows.
        warm: calls before the timed ones of a round, since others have used the cache.
        calls: timed ones in a round.
    """
    live: dict[str, PeerProcess] = {}
    try:
        for row in rows:
            if row.installed and not row.failure:
                try:
                    process = PeerProcess(row.python, row.key, folder, core, task)
                    live[row.key] = process
                except PeerError as error:
                    row.failure = str(error)
        for row in _alive(rows, live):
            answer = _ask(row, live, 0, check)
            row.check = answer["results"] if answer else []
        for number in range(rounds):
            present = _alive(rows, live)
            turn = number % max(len(present), 1)
            for row in [*present[turn:], *present[:turn]]:
                if answer := _ask(row, live, warm, calls):
                    row.rounds.append([1e3 * s for s in answer["seconds"]])
                    row.peak_bytes = answer["peak_bytes"]
            print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr)
    finally:
        for process in live.values():
            process.close()


def _alive(rows: Sequence[Row], live: dict[str, PeerProcess]) -> list[Row]:
    return [row for row in rows if row.key in live]


def _ask(
    row: Row, live: dict[str, PeerProcess], warm: int, calls: int
) -> dict[str, Any] | None:
    try:
        return live[row.key].run(warm, calls)
    except PeerError as error:
        live.pop(row.key).close()
        row.failure, row.rounds = str(error), []
        return None
