"""A device's personal state: generations of weights, the newest of which is live.

One SQLite transaction makes a generation live, so that a crash at any instant leaves
the last good one.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping

from fedp.device_runtime import state_file
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.state_file import Row, content_hash, transaction

KEPT_GENERATIONS = 3


class Store:
    """Generations of one artifact's model on one device; threads may share it.

    Attributes:
        path: the database file; None in memory.
    """

    def __init__(
        self, connection: sqlite3.Connection, directory: pathlib.Path | None
    ) -> None:
        """Use `Store.open`."""
        self.path = directory and directory / state_file.FILE
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, directory: str | pathlib.Path | None, artifact: str, weights_size: int
    ) -> Store:
        """Opens or makes a state directory (0700; the file in it 0600).

        A damaged file is mended at once: what is good in it stays, see `damage`.

        Args:
            directory: where the state lives; None keeps it in memory.
            artifact: SHA-256 of the artifact it belongs to, in hex.
            weights_size: length of a generation's weights, in bytes.

        Raises:
            StateError: it belongs to another artifact, or cannot be read or made.
        """
        place = None if directory is None else pathlib.Path(directory)
        with _as_state_error(f"state {place}", "opened"):
            return cls(state_file.open_state(place, artifact, weights_size), place)

    def newest(self, skip: int = 0) -> Row | None:
        """The live generation, or the one `skip` before it; None: the initial model."""
        with self._reading() as connection:
            columns = ", ".join(Row._fields)
            query = (
                f"SELECT {columns} FROM generations ORDER BY id DESC LIMIT 1 OFFSET ?"
            )
            row = connection.execute(query, (skip,)).fetchone()
            return row and Row(*row)

    def count(self) -> int:
        """Number of stored generations, at most `KEPT_GENERATIONS`."""
        with self._reading() as connection:
            query = "SELECT count(*) FROM generations"
            return int(connection.execute(query).fetchone()[0])

    def damage(self) -> str:
        """What was found damaged since the last commit or reset; empty if nothing."""
        with self._reading() as connection:
            query = "SELECT damage FROM artifact"
            return str(connection.execute(query).fetchone()[0])

    def commit(
        self, weights: bytes | None, decision: str, reason: str, evidence: str
    ) -> int:
        """Makes a new generation live and drops the oldest beyond the kept ones.

        Args:
            weights: raw float32; None makes the initial model live.
            decision: "keep" or "revert".
            reason: the guard's sentence.
            evidence: JSON of what the guard saw.

        Returns:
            The generation's id.

        Raises:
            StateError: it cannot be written; what was live stays live.
        """
        now = datetime.datetime.now(datetime.timezone.utc)
        content = (now.isoformat(), decision, reason, evidence, weights)
        with self._writing() as connection:
            cursor = connection.execute(
                "INSERT INTO generations VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                (*content, content_hash(*content)),
            )
            connection.execute(
                "DELETE FROM generations WHERE id NOT IN "
                "(SELECT id FROM generations ORDER BY id DESC LIMIT ?)",
                (KEPT_GENERATIONS,),
            )
            connection.execute("UPDATE artifact SET damage = ''")
        return int(cursor.lastrowid or 0)

    def rollback(self) -> None:
        """Forgets the live generation; the one before it, if any, is live again.

        Raises:
            StateError: it cannot be written; what was live stays live.
        """
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM generations WHERE id = (SELECT max(id) FROM generations)"
            )

    def reset(self) -> None:
        """Forgets all generations, also damaged ones; the initial model is live.

        Raises:
            StateError: it cannot be written; what was live stays live.
        """
        with self._writing() as connection:
            if self.path:
                state_file.erase_leftovers(self.path.parent)
            connection.execute("DELETE FROM generations")
            connection.execute("UPDATE artifact SET damage = ''")

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _as_state_error(f"state {self.path}", "read"):
            yield self._connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _as_state_error(f"state {self.path}", "written"):
            with transaction(self._connection):
                yield self._connection


def forget_state(directory: str | pathlib.Path) -> None:
    """Forgets a state directory's state, whatever artifact it is of.

    Its files are overwritten and removed, also those that damage has left.

    Raises:
        StateError: it cannot be written.
    """
    with _as_state_error(f"state {directory}", "forgotten"):
        state_file.erase(pathlib.Path(directory))


_NEXT_STEP: Mapping[str, str] = {
    "full": "free some space; nothing stored was lost",
    "readonly": "make the directory writable; nothing stored was lost",
    "read-only": "make the directory writable; nothing stored was lost",
    "locked": "another process is writing it: try again",
    "permission": "use a directory that you may write",
    "unable to open": "use a directory that you may write",
    "closed": "open it again",
}


@contextlib.contextmanager
def _as_state_error(thing: str, verb: str) -> Iterator[None]:
    """Turns what SQLite and the file system raise into one StateError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        found = getattr(error, "strerror", None) or str(error)
        steps = (step for word, step in _NEXT_STEP.items() if word in found.lower())
        step = next(steps, "use another directory; nothing stored was lost")
        raise StateError(f"{thing} cannot be {verb} ({found}): {step}") from error
