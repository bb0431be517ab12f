"""How all parts of a `Store` read and write its file: one transaction a change."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import threading
from collections.abc import Callable, Iterator

from fedp.device_runtime import age_clock, example_places
from fedp.device_runtime.state_connection import (
    FILE,
    data_version,
    file_identity,
    transaction,
)
from fedp.device_runtime.state_erasing import journal_handle, overwrite
from fedp.device_runtime.state_errors import as_state_error
from fedp.device_runtime.state_file import open_state
from fedp.device_runtime.state_salvage import Owner


class StateAccess:
    """A state file that follows its name; threads may share it.

    Attributes:
        path: the database file; None in memory.
        artifact: SHA-256 of the artifact, in hex.
    """

    def __init__(
        self,
        directory: pathlib.Path | None,
        artifact: str,
        weights_size: int,
        keep_generations: int,
        clock: Callable[[], float],
    ) -> None:
        """Use `Store.open`."""
        self.path = directory and directory / FILE
        self.artifact = artifact
        self._owner = Owner(artifact, weights_size)
        self._keep = keep_generations
        self._clock = clock
        self._lock = threading.RLock()
        self._adapting = threading.Lock()
        self._era: str | None = None  # Of the adaptation that runs.
        self._closed = False
        self._openings = 0
        self._connect()
        self._seen = self._version()

    def changed(self) -> bool:
        """Whether another process or `Store` changed the state since the last call.

        While another thread uses the state, the answer is no, and the next one tells.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            with self._reading():
                before, self._seen = self._seen, self._version()
                return self._seen != before
        finally:
            self._lock.release()

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _connect(self) -> None:
        self._connection = open_state(self.path and self.path.parent, self._owner)
        self._identity = self.path and file_identity(self.path)
        # A new file may get the number of the one that was deleted.
        self._openings += 1

    def _version(self) -> tuple[int, int]:
        return self._openings, data_version(self._connection)

    def _same_file(self) -> bool:
        return not self.path or self._identity == file_identity(self.path)

    def _follow(self) -> None:
        """Opens the file that has the name now, if that is not the open one."""
        if not self._closed and not self._same_file():
            self._connection.close()
            self._connect()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, as_state_error(f"state {self.path}", "read"):
            self._follow()
            yield self._connection

    @contextlib.contextmanager
    def _writing(self, *, wipe: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, which also ages the examples.

        Args:
            wipe: whether to overwrite the journal too, for what is deleted.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._lock)
            stack.enter_context(as_state_error(f"state {self.path}", "written"))
            while True:
                self._follow()
                with contextlib.ExitStack() as inner:
                    inner.enter_context(transaction(self._connection))
                    # Another process may have put a mended file in its place.
                    if self._closed or self._same_file():
                        inner = stack.enter_context(inner.pop_all())
                        break
            now = age_clock.advance(self._connection, self._clock())
            expired = example_places.drop_expired(self._connection, now)
            yield self._connection
            handle = None
            if self.path and (wipe or expired):
                handle = journal_handle(self.path)
            try:
                inner.close()  # Commits.
                if handle is not None:
                    overwrite(handle)
            finally:
                if handle is not None:
                    os.close(handle)
