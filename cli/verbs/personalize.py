"""`fedp personalize`."""

from __future__ import annotations

import dataclasses
import pathlib

import click

from fedp.cli.call import GOES_ON
from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    public_key_option,
    state_option,
)
from fedp.cli.places import naming
from fedp.cli.printing import number_or_dash, print_json, print_table
from fedp.cli.verb import verb


@verb(needs="interpreter", again=GOES_ON)
@artifact_argument
@click.option("--data", type=PATH, required=True, help="An .npz with x and y.")
@state_option
@click.option("--epochs", type=click.IntRange(0), help="In place of the policy's.")
@click.option("--seconds", type=click.FloatRange(0), help="Most time to adapt.")
@interpreter_option
@public_key_option
def personalize(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    data: pathlib.Path,
    state: pathlib.Path,
    epochs: int | None,
    seconds: float | None,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Adapt the model to one client's data; keep it only where it is better.

    \b
    Example:
      fedp personalize model.tflite --data me.npz --state state
    """
    from fedp.device_runtime import Budget, Personalizer
    from fedp.device_runtime.artifact_file import read_artifact
    from fedp.device_runtime.examples import examples_for, read_arrays

    # A mistaken file must not leave a state.
    manifest, _ = read_artifact(artifact, public_key)
    x, y = read_arrays(data, "x", "y")
    with naming(data):
        examples_for(x, y, manifest)
    with Personalizer.open(
        artifact, state, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        outcome = personalizer.personalize(
            x, y, budget=Budget(seconds=seconds, epochs=epochs), seed=seed
        )
    classes = manifest.labels.are_classes
    if as_json:
        print_json(dataclasses.asdict(outcome))
        return
    losses = outcome.initial_loss, outcome.personalized_loss
    numbers = [("log loss" if classes else "loss", *losses)]
    if classes:
        hits = outcome.initial_accuracy, outcome.personalized_accuracy
        numbers.insert(0, ("accuracy", *hits))
    print_table(
        [(f"on {outcome.judged} judged", "initial", "personalized")]
        + [(name, number_or_dash(a), number_or_dash(b)) for name, a, b in numbers]
    )
    click.echo(
        f"\n{outcome.decision}: {outcome.reason}\n"
        f"{outcome.examples} examples, {outcome.steps} steps, {outcome.seconds:.1f} s"
    )
