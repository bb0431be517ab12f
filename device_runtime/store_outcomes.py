"""`Store`'s part on outcomes: how right the served model was."""

from __future__ import annotations

from fedp.device_runtime import generations, outcome_log
from fedp.device_runtime.outcome_log import LoggedOutcome
from fedp.device_runtime.state_connection import snapshot
from fedp.device_runtime.store_access import StateAccess

LIVE = "live"


class OutcomeState(StateAccess):
    """See `Store`."""

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
        with self._reading() as connection, snapshot(connection):
            return outcome_log.newest(connection, limit)

    def clear_outcomes(self) -> None:
        """Empties the log.

        Raises:
            StateError: it cannot be written.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM outcomes")
