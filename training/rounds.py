"""One round after the other: who takes part, who is left out, and when to repeat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedp.device_runtime.errors import FedpError
from fedp.training.configuration import Stage
from fedp.training.data.federated import FederatedData
from fedp.training.engines.contract import RoundResult, ServerState, StageEngine
from fedp.training.metrics import RoundLog
from fedp.training.progress import Progress
from fedp.training.run_directory import RunRecord
from fedp.training.sampling import Participant, all_clients, sample_clients

_REPEATS = 5
_NAMED = 3  # failed clients that a message names


class DivergedError(FedpError):
    """Training has left the finite numbers, or no clients are left to train on."""


class Rounds:
    """A stage's rounds on an engine.

    Attributes:
        participants: who took part in the last round, repeated attempts included.
    """

    def __init__(
        self,
        record: RunRecord,
        stage: Stage,
        data: FederatedData,
        engine: StageEngine,
        progress: Progress,
        secret: Sequence[int] = (),
    ) -> None:
        """Takes what the rounds run on, and who is told of clients left out.

        Args:
            record: of the run.
            stage: whose rounds.
            data: whose clients.
            engine: executes them.
            progress: is told of clients left out.
            secret: decides who takes part in "dp" rounds: the accountant counts on it
                that nobody can tell, and a run's seed is no secret.
        """
        self._record = record
        self._stage = stage
        self._data = data
        self._engine = engine
        self._progress = progress
        self._secret = list(secret)
        self.participants: list[str] = []

    def run(
        self, number: int, state: ServerState, last: bool = False
    ) -> tuple[ServerState, RoundLog]:
        """Runs a round until enough clients came through it.

        Args:
            number: counted from 1 over all stages.
            state: after the round before; a repeated attempt starts from it again, so
                that whatever poisoned the first one is gone.
            last: whether nothing needs to be read ahead.

        Raises:
            DivergedError: too few clients came through, again and again.
        """
        self.participants = []
        pooled = self._stage.algorithm == "centralized"
        upcoming = [] if last or pooled else self._sample(number + 1, 0)
        # An epoch over everybody has nobody else to be repeated with.
        attempts = 1 if pooled else 1 + _REPEATS
        for attempt in range(attempts):
            participants = self._sample(number, attempt)
            self.participants += [each.client for each in participants]
            result = self._engine.next(state, participants, upcoming)
            through = (
                len(participants) - len(result.failed) - result.sums.not_finite
                if _finite(result.state)
                else 0
            )
            self._tell(number, result)
            if through >= self._needed(participants):
                return result.state, self._log(number, result, participants, attempt)
            if attempt + 1 < attempts:
                self._progress.say(
                    f"round {number}: only {through} of {len(participants)} clients "
                    "came through: repeated with others"
                )
        raise DivergedError(self._why(number, result, len(participants), attempts))

    def _sample(self, number: int, attempt: int) -> list[Participant]:
        split, config = self._record.split, self._record.config
        seed = [config.seed]
        if self._stage.algorithm == "centralized":
            return all_clients(self._data, split, seed, number)
        if self._stage.aggregator == "dp":
            seed = self._secret
        return sample_clients(
            self._data, split, config.clients_per_round, seed, number, attempt
        )

    def _needed(self, participants: list[Participant]) -> int:
        if self._stage.algorithm == "centralized":
            return -(-len(participants) // 2)
        return self._record.config.clients_needed

    def _tell(self, number: int, result: RoundResult) -> None:
        for client, reason in list(result.failed.items())[:_NAMED]:
            self._progress.say(f"round {number}: client {client} left out: {reason}")
        if len(result.failed) > _NAMED:
            more = len(result.failed) - _NAMED
            self._progress.say(f"round {number}: {more} more clients left out")

    def _why(
        self, number: int, result: RoundResult, clients: int, attempts: int
    ) -> str:
        where = f"round {number}" + (f", {attempts} times" if attempts > 1 else "")
        if len(result.failed) > result.sums.not_finite:
            client, reason = next(iter(result.failed.items()))
            return (
                f"{where}: {len(result.failed)} of {clients} clients failed, "
                f"such as {client} ({reason}): mend the data, then resume the run"
            )
        return (
            f"{where}: the training of {result.sums.not_finite} of {clients} clients, "
            "or what it made of the model, left the finite numbers: start a new run "
            "with a lower client or server learning rate"
        )

    def _log(
        self,
        number: int,
        result: RoundResult,
        participants: list[Participant],
        attempt: int,
    ) -> RoundLog:
        sums = result.sums
        return RoundLog(
            round=number,
            stage=self._stage.name,
            train_loss=sums.loss_sum / max(sums.processed, 1),
            clients=len(participants),
            left_out=len(result.failed) + sums.not_finite,
            examples=sums.examples,
            processed=sums.processed,
            steps=sums.steps,
            seconds=0.0,
            repeated=attempt,
        )


def _finite(state: ServerState) -> bool:
    """Whether no weight, and nothing an optimizer remembers, is NaN or Inf."""
    floats = (leaf for leaf in state if np.asarray(leaf).dtype.kind == "f")
    return all(np.isfinite(leaf).all() for leaf in floats)
