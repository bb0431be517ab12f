"""From a TOML file and the command line's words to a TrainingConfig.

    data = "writers.npz"
    clients_per_round = 10

    [[stage]]
    algorithm = "fedavg"
    rounds = 300
    local_epochs = 5

The same stage on the command line: `--stage fedavg,rounds=300,local_epochs=5`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tomllib

from fedp.training.configuration import (
    ALGORITHMS,
    ConfigurationError,
    Stage,
    TrainingConfig,
)

_SHORT = {
    "E": "local_epochs",
    "K": "local_steps",
    "server": "server_optimizer",
    "lr": "server_learning_rate",
}
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float}
_STAGE_FIELDS = {f.name: _TYPES[str(f.type)] for f in dataclasses.fields(Stage)}
_CONFIG_FIELDS = [f.name for f in dataclasses.fields(TrainingConfig)]

# What the paper pairs with FedAvg is Stage's own default; Adam fine-tunes.
_FINE_TUNING = {"server_optimizer": "adam", "server_learning_rate": 1e-3}


def parse_stage(text: str) -> dict[str, Any]:
    """Reads one `--stage`: an algorithm, then key=value pairs, with commas between.

    Returns:
        Fields of a Stage, for `stages_of`.

    Raises:
        ConfigurationError: an unknown key, or a value that is no number.
    """
    algorithm, *pairs = (part.strip() for part in text.split(","))
    fields: dict[str, Any] = {"algorithm": algorithm}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        key = _SHORT.get(key, key)
        if not equals or key not in _STAGE_FIELDS:
            raise ConfigurationError(
                f"--stage {text}: {pair!r} is not understood; write it as in "
                f"fedavg,rounds=300,local_epochs=5 with {_allowed()}"
            )
        try:
            fields[key] = _STAGE_FIELDS[key](value)
        except ValueError as error:
            raise ConfigurationError(
                f"--stage {text}: {key} is {value!r}; a number is needed"
            ) from error
    return fields


def stages_of(tables: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    """Makes stages of their fields; a stage without a name is called its algorithm.

    Raises:
        ConfigurationError: unknown or missing fields, or values out of range.
    """
    stages: list[Stage] = []
    for table in tables:
        unknown = [key for key in table if key not in _STAGE_FIELDS]
        if unknown:
            raise ConfigurationError(
                f"a stage has no {', '.join(unknown)}; it has {_allowed()}"
            )
        algorithm = table.get("algorithm")
        if algorithm not in ALGORITHMS or "rounds" not in table:
            raise ConfigurationError(
                f"a stage has algorithm {algorithm!r} and rounds "
                f"{table.get('rounds')}; both are needed, and the algorithm is one of "
                f"{', '.join(ALGORITHMS)}"
            )
        taken = [stage.name for stage in stages]
        defaults = {} if algorithm == "fedavg" else _FINE_TUNING
        fields = {"name": _free_name(algorithm, taken), **defaults, **table}
        for key, value in fields.items():
            fields[key] = _checked(f"stage {fields['name']!r}: {key}", key, value)
        stages.append(Stage(**fields))
    return tuple(stages)


def read_config_file(path: pathlib.Path) -> dict[str, Any]:
    """Reads a TOML file of TrainingConfig's fields, with its stages as [[stage]].

    Returns:
        The fields that it gives; "stages" holds Stage objects.

    Raises:
        ConfigurationError: it cannot be read, or gives an unknown field.
    """
    try:
        fields = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"configuration {path} cannot be read ({error}): give a TOML file"
        ) from error
    tables = fields.pop("stage", None)
    unknown = [key for key in fields if key not in _CONFIG_FIELDS or key == "stages"]
    if unknown:
        raise ConfigurationError(
            f"configuration {path} has unknown {', '.join(unknown)}; allowed are "
            f"[[stage]] and {', '.join(f for f in _CONFIG_FIELDS if f != 'stages')}"
        )
    if tables is not None:
        if not isinstance(tables, list):
            raise ConfigurationError(
                f"configuration {path}: write each stage as [[stage]], with two "
                "brackets"
            )
        fields["stages"] = stages_of(tables)
    return fields


def _checked(what: str, key: str, value: Any) -> Any:
    wanted = _STAGE_FIELDS[key]
    number = wanted is float and isinstance(value, int) and not isinstance(value, bool)
    if number or (isinstance(value, wanted) and not isinstance(value, bool)):
        return wanted(value)
    raise ConfigurationError(f"{what} is {value!r}; a {wanted.__name__} is needed")


def _free_name(algorithm: str, taken: Sequence[str]) -> str:
    """The algorithm's name, numbered from the second stage of that name on."""
    names = [algorithm, *(f"{algorithm}-{n}" for n in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)


def _allowed() -> str:
    return ", ".join([*_STAGE_FIELDS, *_SHORT])
