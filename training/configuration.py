"""What a training run is asked to do: its data, model, stages and seeds.

The defaults are Algorithm 2 of Jiang et al. 2019 (arXiv 1909.12488) with E=5 and K=10.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from fedp.device_runtime.errors import FedpError

ALGORITHMS = ("fedavg", "reptile")
SERVER_OPTIMIZERS = ("momentum", "adam", "sgd")


class ConfigurationError(FedpError):
    """An option of a training run is out of its range."""

    exit_code = 2


def _one_of(what: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ConfigurationError(
            f"{what} is {found!r}; allowed are {', '.join(allowed)}"
        )


def _at_least(what: str, found: int, least: int) -> None:
    if found < least:
        raise ConfigurationError(f"{what} is {found}; allowed is {least} or more")


def _positive(what: str, found: float) -> None:
    if not (found > 0 and math.isfinite(found)):
        raise ConfigurationError(
            f"{what} is {found}; allowed is a finite number above 0"
        )


def _seed(what: str, found: int) -> None:
    if not 0 <= found < 2**31:
        raise ConfigurationError(f"{what} is {found}; allowed is 0 to {2**31 - 1}")


@dataclasses.dataclass(frozen=True)
class Stage:
    """Rounds of one algorithm with one server optimizer.

    Attributes:
        name: what checkpoints and `fedp export --stage` call it; unique in a run.
        algorithm: "fedavg" (E local epochs) or "reptile" (K local steps).
        rounds: how many rounds; 0 skips the stage.
        local_epochs: E, for "fedavg".
        local_steps: K, for "reptile".
        server_optimizer: "momentum", "sgd", or "adam" with TFF's defaults
            (beta 0.9 and 0.999, epsilon 1e-7).
        server_learning_rate: alpha.
        momentum: of the server optimizer "momentum".
    """

    name: str
    algorithm: str
    rounds: int
    local_epochs: int = 5
    local_steps: int = 10
    server_optimizer: str = "momentum"
    server_learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value out of range."""
        where = f"stage {self.name!r}: "
        if not self.name.replace("-", "_").isidentifier():
            raise ConfigurationError(
                f"{where}the name has to be letters, digits, '-' and '_': rename it"
            )
        _one_of(where + "algorithm", self.algorithm, ALGORITHMS)
        _one_of(where + "server optimizer", self.server_optimizer, SERVER_OPTIMIZERS)
        _at_least(where + "rounds", self.rounds, 0)
        _at_least(where + "local epochs", self.local_epochs, 1)
        _at_least(where + "local steps", self.local_steps, 1)
        _positive(where + "server learning rate", self.server_learning_rate)
        if not 0 <= self.momentum < 1:
            raise ConfigurationError(
                f"{where}momentum is {self.momentum}; allowed is 0 up to below 1"
            )


PERSONALIZED_FEDAVG = (
    Stage("fedavg", "fedavg", rounds=300),
    Stage(
        "reptile",
        "reptile",
        rounds=100,
        server_optimizer="adam",
        server_learning_rate=1e-3,
    ),
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """All that fixes a run, so that the same config gives the same model.

    Attributes:
        data: what `open_data` takes: a path, or the name of an embedded data set.
        model: "emnist_cnn", "emnist_cnn_dropout", "mlp" or "module:function".
        stages: trained one after the other, each from the weights of the one before.
        clients_per_round: M.
        batch_size: of the client optimizer.
        client_learning_rate: beta, of the client optimizer SGD.
        seed: of weights, client sampling, shuffling and dropout.
        split_seed: of the data a generated set draws, of the split of clients into
            train, validation and test, and of their examples into support and query.
        validation: share of the clients (0..1) kept for choosing settings.
        test: share of the clients (0..1) never touched in training.
        max_examples: most examples taken of one client; None for all.
        eval_every: rounds from one evaluation on validation clients to the next;
            0 evaluates at the end of each stage only.
        eval_clients: how many validation clients an evaluation takes at most.
        personalization_epochs: local epochs of that evaluation.
        checkpoint_every: rounds from one checkpoint to the next.
    """

    data: str
    model: str = "emnist_cnn"
    stages: tuple[Stage, ...] = PERSONALIZED_FEDAVG
    clients_per_round: int = 5
    batch_size: int = 20
    client_learning_rate: float = 0.02
    seed: int = 0
    split_seed: int = 0
    validation: float = 0.1
    test: float = 0.2
    max_examples: int | None = None
    eval_every: int = 50
    eval_clients: int = 20
    personalization_epochs: int = 5
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value out of range."""
        if not self.stages or sum(stage.rounds for stage in self.stages) == 0:
            raise ConfigurationError("the run has no rounds: give a stage at least one")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ConfigurationError(
                f"stages {names} share a name: give each one its own"
            )
        _at_least("clients per round", self.clients_per_round, 1)
        _at_least("batch size", self.batch_size, 1)
        _positive("client learning rate", self.client_learning_rate)
        _seed("seed", self.seed)
        _seed("split seed", self.split_seed)
        if self.max_examples is not None:
            _at_least("max examples", self.max_examples, 1)
        _at_least("eval every", self.eval_every, 0)
        _at_least("eval clients", self.eval_clients, 1)
        _at_least("personalization epochs", self.personalization_epochs, 1)
        _at_least("checkpoint every", self.checkpoint_every, 1)

    @property
    def total_rounds(self) -> int:
        """Rounds of all stages together."""
        return sum(stage.rounds for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists, dicts, numbers and strings."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TrainingConfig:
        """Reads what `to_json` gave.

        Raises:
            ConfigurationError: unknown or missing fields, or values out of range.
        """
        try:
            stages = tuple(Stage(**stage) for stage in fields["stages"])
            return cls(**{**fields, "stages": stages})
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                f"the training configuration cannot be read ({error}): it was written "
                "by another fedp release; use that one, or train again"
            ) from error
