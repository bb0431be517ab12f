"""`Store`'s part on a running adaptation: there is one, and a crash may cut it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from fedp.device_runtime import facts, state_rows
from fedp.device_runtime.adapter_lock import adapter_lock
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.state_connection import snapshot
from fedp.device_runtime.store_access import StateAccess


class AdaptingState(StateAccess):
    """See `Store`."""

    @contextlib.contextmanager
    def adapting(self) -> Iterator[None]:
        """Makes this the state's one adapter, of all processes and threads.

        Raises:
            StateError: there is another one.
        """
        if not self._adapting.acquire(blocking=False):
            raise StateError("another thread is adapting this state: try again later")
        try:
            with contextlib.ExitStack() as stack:
                with self._reading() as connection:
                    if self.path:
                        stack.enter_context(adapter_lock(self.path.parent))
                    self._era = facts.get(connection, "era")
                yield
        finally:
            self._era = None
            self._adapting.release()

    def save_unfinished(self, content: bytes, key: str) -> None:
        """Keeps what an adaptation needs to go on after a crash, in place of the last.

        Args:
            content: bytes that the adaptation understands.
            key: what it depends on: a hash of examples, policy and seed.

        Raises:
            StateError: it cannot be written, or all was forgotten since `adapting`
                began.
        """
        with self._writing() as connection:
            self._check_era(connection)
            connection.execute("DELETE FROM unfinished")
            values = (self.artifact, key, bytes(content))
            state_rows.insert(connection, "unfinished", *values)

    def unfinished(self, key: str) -> bytes | None:
        """What was saved under this key for this artifact, if it is whole."""
        with self._reading() as connection, snapshot(connection):
            for number in state_rows.ids(connection, "unfinished"):
                row = state_rows.read(connection, "unfinished", number)
                if row and row[1:3] == (self.artifact, key):
                    return bytes(row[3])
        return None

    def clear_unfinished(self) -> None:
        """Forgets the unfinished adaptation.

        Raises:
            StateError: it cannot be written.
        """
        with self._writing(wipe=True) as connection:
            connection.execute("DELETE FROM unfinished")

    def _check_era(self, connection: sqlite3.Connection) -> None:
        if self._era not in (None, facts.get(connection, "era")):
            raise StateError(
                f"the examples in {self.path} were forgotten while this adaptation "
                "ran: nothing of it is stored, adapt again"
            )
