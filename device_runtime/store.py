"""A device's personal state: generations of weights, local examples, outcomes.

One SQLite transaction makes a change, so that a crash at any instant leaves the last
good state.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from fedp.device_runtime import (
    counters,
    example_store,
    facts,
    generations,
    outcome_log,
    state_file,
    state_rows,
)
from fedp.device_runtime.adapter_lock import adapter_lock
from fedp.device_runtime.age_clock import advance
from fedp.device_runtime.counters import Counters, Figures
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.example_store import Examples
from fedp.device_runtime.generations import Row
from fedp.device_runtime.outcome_log import LoggedOutcome
from fedp.device_runtime.state_schema import transaction

KEPT_GENERATIONS = 3
LIVE = "live"
# What local_privacy refuses as damaged memory: no JSON.
_LOST = "lost"
Answer = TypeVar("Answer")


class Store:
    """One device's state, seen by one artifact; threads may share it.

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
        self.path = directory and directory / state_file.FILE
        self.artifact = artifact
        self._weights_size = weights_size
        self._keep = keep_generations
        self._clock = clock
        self._lock = threading.RLock()
        self._adapting = threading.Lock()
        self._era: str | None = None  # Of the adaptation that runs.
        self._closed = False
        self._seen: tuple[object, int] | None = None
        self._connect()

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
        with _as_state_error(f"state {place}", "opened"):
            return cls(place, artifact, weights_size, max(keep_generations, 1), clock)

    # Generations ------------------------------------------------------------------

    def newest(self, skip: int = 0) -> Row | None:
        """The live generation, or the one `skip` before it; None: the initial model."""
        with self._reading() as connection:
            return generations.newest(connection, self.artifact, skip)

    def count(self) -> int:
        """Number of this artifact's stored generations."""
        with self._reading() as connection:
            return generations.count(connection, self.artifact)

    def damage(self) -> str:
        """What was found damaged since the last commit or reset; empty if nothing."""
        with self._reading() as connection:
            return str(facts.get(connection, "damage"))

    def commit(
        self,
        weights: bytes | None,
        decision: str,
        reason: str,
        evidence: str,
        *,
        figures: Figures | None = None,
        withdrawn: bool = False,
    ) -> int:
        """Makes a new generation live and drops the oldest beyond the kept ones.

        An adaptation's decision clears its unfinished state, and is counted.

        Args:
            weights: raw float32; None makes the initial model live.
            decision: "keep" or "revert".
            reason: the guard's sentence, or the watch's.
            evidence: JSON of what the guard saw.
            figures: what `counters` says of this adaptation.
            withdrawn: whether the watch takes a personalized model back; else an
                adaptation was decided on.

        Returns:
            The generation's id.

        Raises:
            StateError: it cannot be written, or all was forgotten since `adapting`
                began; what was live stays live.
        """
        with self._writing() as connection:
            self._check_era(connection)
            texts = (decision, reason, evidence)
            number = generations.add(connection, self.artifact, weights, *texts)
            generations.prune(connection, self.artifact, self._keep)
            if withdrawn:
                counters.withdrawn(connection, self.artifact)
            else:
                kept = weights is not None
                found = figures or Figures()
                counters.adapted(connection, self.artifact, kept, found)
                connection.execute("DELETE FROM unfinished")
            facts.put(connection, "damage", "")
        return number

    def rollback(self) -> None:
        """Forgets the live generation; the one before it, if any, is live again.

        Raises:
            StateError: it cannot be written; what was live stays live.
        """
        with self._writing(wipe=True) as connection:
            if generations.drop_newest(connection, self.artifact):
                counters.rolled_back(connection, self.artifact)

    def reset(self) -> None:
        """Forgets all generations, also damaged ones; the initial model is live.

        Examples, outcomes and counters stay; an unfinished adaptation does not.

        Raises:
            StateError: it cannot be written; what was live stays live.
        """
        with self._writing(wipe=True) as connection:
            self._drop_learned(connection)

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

    # Examples ---------------------------------------------------------------------

    def configure(
        self,
        *,
        capacity: int | None = None,
        age_limit_seconds: float | None = None,
        policy: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Changes the settings that are given; they stay in the state.

        Args:
            capacity: most examples to keep; 1000 in a new state.
            age_limit_seconds: age at which an example goes; infinite: never, as in a
                new state.
            policy: "newest" keeps the last ones, as a new state does; "reservoir" a
                uniform sample of all that came.
            seed: of the reservoir's draws; random in a new state.

        Raises:
            DataError: a value that means nothing.
            StateError: it cannot be written.
        """
        with self._writing(wipe=True) as connection:
            given = (capacity, age_limit_seconds, policy, seed)
            example_store.configure(connection, *given, self._clock())

    def add_example(
        self, x: np.ndarray, y: np.ndarray | int, *, source: str = ""
    ) -> int:
        """Stores one example; it is on disk when this returns.

        Args:
            x: one input [*input_shape], numbers of any type.
            y: its label, or labels [*label_shape].
            source: where it comes from, in the app's words.

        Returns:
            Its id. A reservoir may pass it over: then no example has that id.

        Raises:
            DataError: these are no numbers.
            StateError: it cannot be written.
        """
        with self._writing() as connection:
            array = np.asarray(x)
            return example_store.add(connection, array, y, source, self._clock())

    def examples(self) -> Examples:
        """All stored examples of the newest one's types and shapes, newest last."""
        with self._reading() as connection, _snapshot(connection):
            return example_store.read(connection, self._clock())

    def example_count(self) -> int:
        """How many examples are stored and not too old, of any shape."""
        with self._reading() as connection, _snapshot(connection):
            return example_store.count(connection, self._clock())

    def delete_example(self, number: int) -> bool:
        """Deletes one example, by overwriting it; whether there was one.

        What a model learned from it stays until the next adaptation, or `forget`; an
        unfinished adaptation goes at once.

        Raises:
            StateError: it cannot be written.
        """
        with self._writing(wipe=True) as connection:
            found = example_store.delete(connection, [number]) > 0
            if found:  # It may be of this example.
                connection.execute("DELETE FROM unfinished")
            return found

    # Outcomes ---------------------------------------------------------------------

    def log_outcome(
        self,
        live_correct: float,
        initial_correct: float | None = None,
        *,
        generation: int | str | None = LIVE,
    ) -> int:
        """Notes how right the served model was.

        Args:
            live_correct: share of labels that the served model hit, 0..1.
            initial_correct: the same of the initial model, if it was asked.
            generation: id of the one that answered, None for the initial model; by
                default whichever is live now.

        Returns:
            The row's id.

        Raises:
            StateError: it cannot be written.
        """
        with self._writing() as connection:
            if isinstance(generation, str):
                generation = generations.live_id(connection, self.artifact)
            shares = (live_correct, initial_correct)
            return outcome_log.add(connection, generation, *shares)

    def outcomes(self, limit: int = outcome_log.KEPT_OUTCOMES) -> list[LoggedOutcome]:
        """The last `limit` outcomes, newest last."""
        with self._reading() as connection, _snapshot(connection):
            return outcome_log.newest(connection, limit)

    def clear_outcomes(self) -> None:
        """Empties the log.

        Raises:
            StateError: it cannot be written.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM outcomes")

    # What may leave the device -----------------------------------------------------

    def counters(self) -> Counters:
        """What was counted of this artifact since the state was made or forgotten."""
        with self._reading() as connection:
            return counters.read(connection, self.artifact)

    def release(self, answer: Callable[[str], tuple[Answer, str]]) -> Answer:
        """Answers from a memory, once the new memory is on disk.

        Args:
            answer: gives, from what it gave last time ("" before the first), what may
                be sent, and what to remember. May be asked twice; of all processes'
                answers from one memory, only one gets out.

        Raises:
            StateError: it cannot be written; nothing may be sent then.
        """
        with self._reading() as connection:
            memory = facts.get(connection, "releases")
        sent, new = answer(_LOST if memory is None else memory)
        if new == memory:  # A full disk is no reason not to repeat it.
            return sent
        with self._writing() as connection:
            memory = facts.get(connection, "releases")
            sent, new = answer(_LOST if memory is None else memory)
            facts.put(connection, "releases", new)
        return sent

    # Unfinished adaptation --------------------------------------------------------

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
        with self._reading() as connection, _snapshot(connection):
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

    # Several processes ------------------------------------------------------------

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

    def changed(self) -> bool:
        """Whether another process or `Store` changed the state since the last call.

        While another thread uses the state, the answer is no, and the next one tells.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            with self._reading() as connection:
                now = (self._identity, _data_version(connection))
                before, self._seen = self._seen, now
                return now != before
        finally:
            self._lock.release()

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _connect(self) -> None:
        directory = self.path and self.path.parent
        self._connection = state_file.open_state(
            directory, self.artifact, self._weights_size
        )
        self._identity = self.path and state_file.file_identity(self.path)
        if self._seen is None:
            self._seen = (self._identity, _data_version(self._connection))

    def _same_file(self) -> bool:
        return not self.path or self._identity == state_file.file_identity(self.path)

    def _follow(self) -> None:
        """Opens the file that has the name now, if that is not the open one."""
        if not self._closed and not self._same_file():
            self._connection.close()
            self._connect()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _as_state_error(f"state {self.path}", "read"):
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
            stack.enter_context(_as_state_error(f"state {self.path}", "written"))
            while True:
                self._follow()
                with contextlib.ExitStack() as inner:
                    inner.enter_context(transaction(self._connection))
                    # Another process may have put a mended file in its place.
                    if self._closed or self._same_file():
                        inner = stack.enter_context(inner.pop_all())
                        break
            now = advance(self._connection, self._clock())
            expired = example_store.drop_expired(self._connection, now)
            yield self._connection
            handle = None
            if self.path and (wipe or expired):
                handle = state_file.journal_handle(self.path)
            try:
                inner.close()  # Commits.
                if handle is not None:
                    state_file.overwrite(handle)
            finally:
                if handle is not None:
                    os.close(handle)

    def _drop_learned(self, connection: sqlite3.Connection) -> None:
        if self.path:
            state_file.erase_leftovers(self.path.parent)
        connection.execute("DELETE FROM generations")
        connection.execute("DELETE FROM unfinished")
        facts.put(connection, "damage", "")
        facts.put(connection, "era", facts.new_era())

    def _check_era(self, connection: sqlite3.Connection) -> None:
        if self._era not in (None, facts.get(connection, "era")):
            raise StateError(
                f"the examples in {self.path} were forgotten while this adaptation "
                "ran: nothing of it is stored, adapt again"
            )


def forget_state(directory: str | pathlib.Path) -> None:
    """Forgets a state directory's state, whatever artifact it is of.

    Its files are overwritten and removed, also those that damage has left.

    Raises:
        StateError: it cannot be written.
    """
    with _as_state_error(f"state {directory}", "forgotten"):
        state_file.erase(pathlib.Path(directory))


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Lets several queries see one instant."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


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
