"""What the harness is asked for: one TOML file as frozen dataclasses."""

from __future__ import annotations

import dataclasses
import pathlib
import types
import typing
from typing import Any

import tomllib

from fedp.training.configuration import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Adapter:
    """How a client personalizes.

    Attributes:
        name: in the files.
        optimizer: "sgd", "momentum" or "adam".
        learning_rate: beta.
        batch_size: of a local step.
    """

    name: str
    optimizer: str
    learning_rate: float
    batch_size: int

    @property
    def label(self) -> str:
        """For people."""
        name = {"sgd": "SGD", "momentum": "momentum", "adam": "Adam"}[self.optimizer]
        return f"{name} {self.learning_rate:g}"


@dataclasses.dataclass(frozen=True)
class Block:
    """FedAvg runs that share all but E: a half of Table 1.

    Attributes:
        clients_per_round: M.
        local_epochs: every E.
        rounds: of each run.
        eval_every: rounds from one validation to the next, the resolution of
            "rounds to the threshold".
        replicas: fewer than the others', where the block is expensive.
    """

    clients_per_round: int
    local_epochs: tuple[int, ...]
    rounds: int
    eval_every: int
    replicas: int | None = None


@dataclasses.dataclass(frozen=True)
class Server:
    """A server optimizer of the fine-tuning."""

    optimizer: str
    learning_rate: float
    momentum: float = 0.9

    @property
    def label(self) -> str:
        """As in Table 3."""
        momentum = f", {self.momentum:g}" if self.optimizer == "momentum" else ""
        name = {"sgd": "SGD", "momentum": "momentum", "adam": "Adam"}[self.optimizer]
        return f"{name} {self.learning_rate:g}{momentum}"


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """Reptile(K) from the FedAvg(E) model of the same replica.

    Attributes:
        clients_per_round: M, of the FedAvg run as well.
        local_epochs: E of the FedAvg run.
        rounds: of the fine-tuning.
        local_steps: every K, ascending; figures show the first and the last.
        servers: figures and Table 2 show the first.
    """

    clients_per_round: int
    local_epochs: int
    rounds: int
    local_steps: tuple[int, ...]
    servers: tuple[Server, ...]


@dataclasses.dataclass(frozen=True)
class Centralized:
    """Adam on the pooled examples: one training, looked at after these epochs."""

    epochs: tuple[int, ...]
    learning_rate: float = 1e-3


@dataclasses.dataclass(frozen=True)
class Settings:
    """One TOML file.

    Attributes:
        name: of the data, for people.
        emnist62: whether the data is EMNIST-62, so that the paper's numbers may stand
            beside ours.
        data: what `open_data` takes.
        model: as in TrainingConfig; so are `validation`, `test`, `split_seed`,
            `max_examples`, `client_test`, `batch_size`, `client_learning_rate` and
            `eval_clients`.
        replicas: trainings of each model, each with its own seed.
        first_seed: of the first replica.
        threshold: the accuracy (0..1) of Table 1's "rounds to".
        test_clients: how many test clients at most, and as many seen ones in Table 2.
        local_epochs: of personalization in the tables.
        curve_epochs: of personalization in Figure 2.
        kept_within: how much (0..1) accuracy may fall and still count as kept.
        adapters: ways to personalize; tables and claims use the first, the training's.
        figure2_federated: adapters in Figure 2, left.
        figure2_centralized: adapters in Figure 2, right; claims take the best of them.
        fedavg: Table 1's blocks.
        fine_tuning: Tables 2 and 3.
        centralized: Figure 2, right.
    """

    name: str
    data: str
    replicas: int
    threshold: float
    adapters: tuple[Adapter, ...]
    figure2_federated: tuple[str, ...]
    figure2_centralized: tuple[str, ...]
    fedavg: tuple[Block, ...]
    fine_tuning: FineTuning
    centralized: Centralized
    emnist62: bool = False
    model: str = "emnist_cnn"
    max_examples: int | None = None
    validation: float = 0.1
    test: float = 0.2
    split_seed: int = 0
    client_test: float = 0.25
    batch_size: int = 20
    client_learning_rate: float = 0.02
    first_seed: int = 0
    eval_clients: int = 20
    test_clients: int = 900
    local_epochs: int = 5
    curve_epochs: int = 10
    kept_within: float = 0.005

    def __post_init__(self) -> None:
        named = {adapter.name for adapter in self.adapters}
        for name in (*self.figure2_federated, *self.figure2_centralized):
            if name not in named:
                raise ConfigurationError(
                    f"figure 2 wants adapter {name!r}; there are {', '.join(named)}"
                )
        wanted = self.fine_tuning.clients_per_round, self.fine_tuning.local_epochs
        if wanted not in [(b.clients_per_round, e) for b, e in self.trained]:
            raise ConfigurationError(
                "fine_tuning starts from {} clients and E={}, which no [[fedavg]] "
                "trains: add it there".format(*wanted)
            )
        if not 0 < self.client_test < 1:
            raise ConfigurationError(
                f"client_test is {self.client_test}; allowed is above 0 and below 1"
            )
        replicas = (self.replicas, *(b.replicas or 1 for b in self.fedavg))
        if min(replicas) < 1 or self.curve_epochs < self.local_epochs:
            raise ConfigurationError(
                "replicas have to be 1 or more, and curve_epochs no fewer than "
                "local_epochs"
            )

    @property
    def trained(self) -> list[tuple[Block, int]]:
        """Every FedAvg cell, its block and its E, in Table 1's order."""
        cells = [(block, e) for block in self.fedavg for e in block.local_epochs]
        return sorted(cells, key=lambda cell: (cell[0].clients_per_round, cell[1]))

    def adapter(self, name: str | None = None) -> Adapter:
        """An adapter by its name; that of the tables unless given."""
        by_name = {adapter.name: adapter for adapter in self.adapters}
        return self.adapters[0] if name is None else by_name[name]


def read_settings(path: pathlib.Path) -> Settings:
    """Reads a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or a field is unknown or out of range.
    """
    try:
        fields = tomllib.loads(path.read_text())
        return typing.cast(Settings, _read(Settings, fields, str(path)))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def _read(kind: Any, found: Any, where: str) -> Any:
    """A value of a TOML file as a field of the type `kind`."""
    if dataclasses.is_dataclass(kind):
        return _read_table(kind, found, where)
    if typing.get_origin(kind) is tuple and isinstance(found, list) and found:
        (each, _) = typing.get_args(kind)
        return tuple(_read(each, value, where) for value in found)
    if typing.get_origin(kind) is types.UnionType:
        kind = typing.get_args(kind)[0]
    number = kind is float and type(found) is int
    if type(found) is kind or number:
        return kind(found)
    raise ConfigurationError(f"{where} is {found!r}; {kind} is needed")


def _read_table(kind: Any, found: Any, where: str) -> Any:
    types_of = typing.get_type_hints(kind)
    if not isinstance(found, dict) or not set(found) <= set(types_of):
        raise ConfigurationError(
            f"{where}: {_unknown(found, types_of)}; allowed are {', '.join(types_of)}"
        )
    fields = {k: _read(types_of[k], v, f"{where}: {k}") for k, v in found.items()}
    try:
        return kind(**fields)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _unknown(found: Any, known: Any) -> str:
    if not isinstance(found, dict):
        return f"{found!r} is no table"
    return f"unknown {', '.join(key for key in found if key not in known)}"
