"""The options of `train` that make a TrainingConfig, and how they make it."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from fedp.cli.given import given_on_the_line
from fedp.training.configuration import PERSONALIZED_FEDAVG, TrainingConfig

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainingConfig)}


def setting(name: str, text: str = "", *short: str, **kwargs: Any) -> Any:
    """An option that sets a field of TrainingConfig, whose default it shows."""
    default = _DEFAULTS[name]
    kind = type(default) if default is not None else kwargs.pop("type")
    return click.option(
        f"--{name.replace('_', '-')}",
        *short,
        type=kwargs.pop("choice", kind),
        default=default,
        show_default=default is not None,
        help=text,
        **kwargs,
    )


# A short form of the stages that Algorithm 2 has: option, field of that stage.
ALGORITHM_2 = {
    "rounds": (0, "rounds"),
    "local_epochs": (0, "local_epochs"),
    "server_learning_rate": (0, "server_learning_rate"),
    "server_momentum": (0, "momentum"),
    "reptile_rounds": (1, "rounds"),
    "local_steps": (1, "local_steps"),
    "reptile_learning_rate": (1, "server_learning_rate"),
}


def stage_setting(name: str, text: str, *short: str) -> Any:
    """An option that sets a field of one stage of Algorithm 2."""
    stage, field = ALGORITHM_2[name]
    default = getattr(PERSONALIZED_FEDAVG[stage], field)
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, *short, default=default, show_default=True, help=text)


def configuration(context: click.Context, seed: int, options: dict[str, Any]) -> Any:
    """Defaults, then the file's fields, then what stands on the command line."""
    from fedp.training.config_sources import parse_stage, read_config_file, stages_of
    from fedp.training.data.opening import absolute

    given = given_on_the_line(context)
    file = options.pop("config")
    fields = {} if file is None else read_config_file(file)
    short = {name: options.pop(name) for name in ALGORITHM_2}
    texts = options.pop("stages")
    if texts:
        fields["stages"] = stages_of([parse_stage(text) for text in texts])
    if "stages" in fields and given & set(short):
        flag = f"--{min(given & set(short)).replace('_', '-')}"
        raise click.UsageError(
            f"{flag} is of Algorithm 2, and the stages are given otherwise: write it "
            "into the stage"
        )
    if "stages" not in fields:
        fields["stages"] = _algorithm_2(short)
    options["seed"] = seed
    fields |= {n: v for n, v in options.items() if n in given or n not in fields}
    if fields["data"] is None:
        raise click.UsageError("give --data and --out, or --resume RUN")
    fields["data"] = absolute(fields["data"])
    return TrainingConfig(**fields)


def _algorithm_2(short: dict[str, Any]) -> Any:
    stages = list(PERSONALIZED_FEDAVG)
    for name, (number, field) in ALGORITHM_2.items():
        stages[number] = dataclasses.replace(stages[number], **{field: short[name]})
    return tuple(stage for stage in stages if stage.rounds)
