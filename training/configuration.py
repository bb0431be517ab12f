"""What a training run is asked to do: its data, model, stages and seeds.

The defaults are Algorithm 2 of Jiang et al. 2019 (arXiv 1909.12488) with E=5 and K=10.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from fedp.device_runtime.errors import FedpError

ALGORITHMS = ("fedavg", "reptile", "fedsgd", "fomaml", "maml", "centralized")
OPTIMIZERS = ("sgd", "momentum", "adam")
AGGREGATORS = ("mean", "unweighted", "robust", "dp")
ENGINES = ("local", "tff", "ray")


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


def _below_one(what: str, found: float) -> None:
    if not 0 <= found < 1:
        raise ConfigurationError(f"{what} is {found}; allowed is 0 up to below 1")


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "tuple[Stage, ...]": (tuple,),
}


def _typed(name: str, kind: str, found: Any) -> None:
    kind, optional, _ = kind.partition(" | None")
    if optional and found is None:
        return
    if not isinstance(found, _KINDS[kind]) or isinstance(found, bool):
        raise ConfigurationError(
            f"{name.replace('_', ' ')} is {found!r}; a {kind} is needed"
        )


@dataclasses.dataclass(frozen=True)
class Stage:
    """Rounds of one algorithm with one server optimizer and one aggregator.

    Attributes:
        name: what checkpoints and `fedp export --stage` call it; unique in a run.
        algorithm: one of ALGORITHMS. Of "centralized", the baseline, a round is an
            epoch over the pooled examples of all training clients.
        rounds: how many rounds; 0 skips the stage.
        local_epochs: E, for "fedavg".
        local_steps: K, for "reptile", "fomaml" and "maml".
        server_optimizer: "momentum", "sgd", or "adam" with TFF's defaults
            (beta 0.9 and 0.999, epsilon 1e-7). Of "centralized" it is the optimizer.
        server_learning_rate: alpha.
        momentum: of the server optimizer "momentum".
        aggregator: "mean" (weighted as the algorithm says), "unweighted", "robust"
            (TFF's adaptive zeroing and clipping), or "dp" (each update clipped, and
            Gaussian noise added to the unweighted sum).
        clip_norm: of "dp": largest L2 norm of an update.
        noise_multiplier: of "dp": the noise's standard deviation on the sum of the
            updates, as a multiple of `clip_norm`.
    """

    name: str
    algorithm: str
    rounds: int
    local_epochs: int = 5
    local_steps: int = 10
    server_optimizer: str = "momentum"
    server_learning_rate: float = 1.0
    momentum: float = 0.9
    aggregator: str = "mean"
    clip_norm: float = 1.0
    noise_multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value out of range."""
        where = f"stage {self.name!r}: "
        if not self.name.replace("-", "_").isidentifier():
            raise ConfigurationError(
                f"{where}the name has to be letters, digits, '-' and '_': rename it"
            )
        _one_of(where + "algorithm", self.algorithm, ALGORITHMS)
        _one_of(where + "server optimizer", self.server_optimizer, OPTIMIZERS)
        _one_of(where + "aggregator", self.aggregator, AGGREGATORS)
        _at_least(where + "rounds", self.rounds, 0)
        _at_least(where + "local epochs", self.local_epochs, 1)
        _at_least(where + "local steps", self.local_steps, 1)
        _positive(where + "server learning rate", self.server_learning_rate)
        _below_one(where + "momentum", self.momentum)
        _positive(where + "clip norm", self.clip_norm)
        _positive(where + "noise multiplier", self.noise_multiplier)
        if self.algorithm == "centralized" and self.aggregator != "mean":
            raise ConfigurationError(
                f"{where}centralized training aggregates nothing: leave the "
                "aggregator out"
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
        client_optimizer: "sgd", "momentum", or "adam" (beta 0.9 and 0.999, epsilon
            1e-7); its slots start anew in every client's round.
        client_learning_rate: beta.
        client_momentum: of the client optimizer "momentum".
        seed: of weights, client sampling, shuffling and dropout.
        split_seed: of the data a generated set draws, of the split of clients into
            train, validation and test, and of their examples into support and query.
        validation: share of the clients (0..1) kept for choosing settings.
        test: share of the clients (0..1) never touched in training.
        max_examples: most examples taken of one client; None for all.
        client_test: share (0 up to below 1) of a training client's own examples that
            no round trains on, so that seen clients can be evaluated; a data set that
            comes with a test part of its own is never trained on that part.
        min_clients: a round that fewer clients come through is repeated with others;
            None for half of them.
        engine: one of ENGINES; they give the same model within float precision.
        ray_address: of the engine "ray": of a cluster's head, None for one that is
            started on this machine.
        clients_per_task: of the engine "ray": how many clients a worker folds into one
            partial sum; None for a sixteenth of the round.
        dp_delta: of a stage with the aggregator "dp"; None for clients ** -1.1.
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
    client_optimizer: str = "sgd"
    client_learning_rate: float = 0.02
    client_momentum: float = 0.9
    seed: int = 0
    split_seed: int = 0
    validation: float = 0.1
    test: float = 0.2
    max_examples: int | None = None
    client_test: float = 0.0
    min_clients: int | None = None
    engine: str = "local"
    ray_address: str | None = None
    clients_per_task: int | None = None
    dp_delta: float | None = None
    eval_every: int = 50
    eval_clients: int = 20
    personalization_epochs: int = 5
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value of the wrong type or out of range."""
        for field in dataclasses.fields(self):
            _typed(field.name, str(field.type), getattr(self, field.name))
        if not self.stages or sum(stage.rounds for stage in self.stages) == 0:
            raise ConfigurationError("the run has no rounds: give a stage at least one")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ConfigurationError(
                f"stages {names} share a name: give each one its own"
            )
        _at_least("clients per round", self.clients_per_round, 1)
        _at_least("batch size", self.batch_size, 1)
        _one_of("client optimizer", self.client_optimizer, OPTIMIZERS)
        _positive("client learning rate", self.client_learning_rate)
        _below_one("client momentum", self.client_momentum)
        _below_one("client test", self.client_test)
        _one_of("engine", self.engine, ENGINES)
        if self.min_clients is not None:
            _at_least("min clients", self.min_clients, 1)
            if self.min_clients > self.clients_per_round:
                raise ConfigurationError(
                    f"min clients is {self.min_clients}; a round has only "
                    f"{self.clients_per_round} clients"
                )
        if self.clients_per_task is not None:
            _at_least("clients per task", self.clients_per_task, 1)
        if self.dp_delta is not None and not 0 < self.dp_delta < 1:
            raise ConfigurationError(
                f"dp delta is {self.dp_delta}; allowed is above 0 and below 1"
            )
        if self.client_optimizer != "sgd" and any(
            stage.algorithm == "maml" for stage in self.stages
        ):
            raise ConfigurationError(
                f"client optimizer is {self.client_optimizer!r}; MAML differentiates "
                "through steps of SGD: use sgd, or fomaml"
            )
        _seed("seed", self.seed)
        _seed("split seed", self.split_seed)
        if self.max_examples is not None:
            _at_least("max examples", self.max_examples, 1)
        _at_least("eval every", self.eval_every, 0)
        _at_least("eval clients", self.eval_clients, 1)
        _at_least("personalization epochs", self.personalization_epochs, 1)
        _at_least("checkpoint every", self.checkpoint_every, 1)

    @property
    def clients_needed(self) -> int:
        """How many clients have to come through a round."""
        return self.min_clients or -(-self.clients_per_round // 2)

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
