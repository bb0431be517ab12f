"""`Store`'s part on what may leave the device: counts, and what was released."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fedp.device_runtime import counters, facts
from fedp.device_runtime.counters import Counters
from fedp.device_runtime.store_access import StateAccess

Answer = TypeVar("Answer")
# What local_privacy refuses as damaged memory: no JSON.
_LOST = "lost"


class ReleaseState(StateAccess):
    """See `Store`."""

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
