"""`Store`'s part on generations of weights: the newest one is live."""

from __future__ import annotations

import sqlite3

from fedp.device_runtime import counters, facts, generations
from fedp.device_runtime.counters import Figures
from fedp.device_runtime.generations import Row
from fedp.device_runtime.state_erasing import erase_leftovers
from fedp.device_runtime.store_adapting import AdaptingState


class GenerationState(AdaptingState):
    """See `Store`."""

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

    def _drop_learned(self, connection: sqlite3.Connection) -> None:
        if self.path:
            erase_leftovers(self.path.parent)
        connection.execute("DELETE FROM generations")
        connection.execute("DELETE FROM unfinished")
        facts.put(connection, "damage", "")
        facts.put(connection, "era", facts.new_era())
