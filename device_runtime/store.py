"""A device's personal state: generations of weights, local examples, outcomes.

One SQLite transaction makes a change, so that a crash at any instant leaves the last
good state.
"""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import time
from collections.abc import Callable

from fedp.device_runtime import counters, facts, state_erasing
from fedp.device_runtime.state_errors import as_state_error
from fedp.device_runtime.store_examples import ExampleState
from fedp.device_runtime.store_generations import GenerationState
from fedp.device_runtime.store_outcomes import OutcomeState
from fedp.device_runtime.store_releases import ReleaseState

KEPT_GENERATIONS = 3


class Store(GenerationState, ExampleState, OutcomeState, ReleaseState):
    """One device's state, seen by one artifact; threads may share it.

    Attributes:
        path: the database file; None in memory.
        artifact: SHA-256 of the artifact, in hex.
    """

    @classmethod
    def open(
        cls,
        directory: str | pathlib.Path | None,
        artifact: str,
        weights_size: int,
        *,
        keep_generations: int = KEPT_GENERATIONS,
        clock: Callable[[], float] = time.time,
    ) -> Store:
        """Opens or makes a state directory (0700; the file in it 0600).

        A damaged file is mended at once: what is good in it stays, see `damage`. What
        another artifact left stays too: its examples are everyone's, its generations
        wait for it until new ones need their place.

        Args:
            directory: where the state lives; None keeps it in memory.
            artifact: SHA-256 of the artifact that uses it, in hex.
            weights_size: length of a generation's weights, in bytes.
            keep_generations: most generations to keep, 1 or more.
            clock: seconds of the wall clock, for the age of examples.

        Raises:
            StateError: it is no state, or cannot be read or made.
        """
        place = None if directory is None else pathlib.Path(directory)
        with as_state_error(f"state {place}", "opened"):
            return cls(place, artifact, weights_size, max(keep_generations, 1), clock)

    def forget(self) -> None:
        """Forgets all examples and everything learned from them, of every artifact.

        The bytes are overwritten, in the file and in its journal. Settings stay, and
        what was released with epsilon: it has left the device and counts.

        Raises:
            StateError: it cannot be written; nothing is forgotten then.
        """
        with self._writing(wipe=True) as connection:
            self._drop_learned(connection)
            connection.execute("DELETE FROM examples")
            connection.execute("DELETE FROM outcomes")
            facts.put(connection, "seen", 0)
            counters.forget(connection)
        # All is overwritten by now; this gives the room back, if there is a moment.
        with self._lock, contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("VACUUM")


def forget_state(directory: str | pathlib.Path) -> None:
    """Forgets a state directory's state, whatever artifact it is of.

    Its files are overwritten and removed, also those that damage has left.

    Raises:
        StateError: it cannot be written.
    """
    with as_state_error(f"state {directory}", "forgotten"):
        state_erasing.erase(pathlib.Path(directory))
