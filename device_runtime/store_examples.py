"""`Store`'s part on local examples."""

from __future__ import annotations

import numpy as np

from fedp.device_runtime import example_places, example_store
from fedp.device_runtime.example_store import Examples
from fedp.device_runtime.state_connection import snapshot
from fedp.device_runtime.store_access import StateAccess


class ExampleState(StateAccess):
    """See `Store`."""

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
            example_places.configure(connection, *given, self._clock())

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
        with self._reading() as connection, snapshot(connection):
            return example_store.read(connection, self._clock())

    def example_count(self) -> int:
        """How many examples are stored and not too old, of any shape."""
        with self._reading() as connection, snapshot(connection):
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
