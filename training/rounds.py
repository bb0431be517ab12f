"""One round after the other: who takes part, who is left out, and when to repeat."""

from __future__ import annotations

from fedp.device_runtime.errors import FedpError
from fedp.training.configuration import Stage
from fedp.training.data.federated import FederatedData
from fedp.training.engines.contract import RoundResult, ServerState, StageEngine
from fedp.training.metrics import RoundLog
from fedp.training.progress import Progress
from fedp.training.run_directory import RunRecord
from fedp.training.sampling import Participant, all_clients, sample_clients

_ATTEMPTS = 5
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
    ) -> None:
        """Takes what the rounds run on, and who is told of clients left out."""
        self._record = record
        self._stage = stage
        self._names = data.clients()
        self._engine = engine
        self._progress = progress
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
        upcoming = [] if last else self._sample(number + 1, 0)
        for attempt in range(_ATTEMPTS):
            participants = self._sample(number, attempt)
            self.participants += [each.client for each in participants]
            result = self._engine.next(state, participants, upcoming)
            left_out = len(result.failed) + result.sums.not_finite
            through = len(participants) - left_out
            self._tell(number, result)
            if through >= self._needed(participants):
                return result.state, self._log(number, result, participants, attempt)
            self._progress.say(
                f"round {number}: only {through} of {len(participants)} clients came "
                "through: repeated with others"
            )
        raise DivergedError(self._why(number, result, participants))

    def _sample(self, number: int, attempt: int) -> list[Participant]:
        split, config = self._record.split, self._record.config
        if self._stage.algorithm == "centralized":
            return all_clients(self._names, split, config.seed, number)
        return sample_clients(
            self._names, split, config.clients_per_round, config.seed, number, attempt
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
        self, number: int, result: RoundResult, participants: list[Participant]
    ) -> str:
        where = f"round {number}, repeated {_ATTEMPTS} times: "
        if len(result.failed) > result.sums.not_finite:
            client, reason = next(iter(result.failed.items()))
            return (
                f"{where}{len(result.failed)} of {len(participants)} clients failed, "
                f"such as {client} ({reason}): mend the data, then resume the run"
            )
        return (
            f"{where}the training of {result.sums.not_finite} of {len(participants)} "
            "clients left the finite numbers: start a new run with a lower client or "
            "server learning rate"
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
