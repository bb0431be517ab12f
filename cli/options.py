"""Options that several verbs have."""

from __future__ import annotations

import pathlib

import click

PATH = click.Path(path_type=pathlib.Path)
INTERPRETERS = click.Choice(["ai_edge_litert", "tflite_runtime"])

artifact_argument = click.argument("artifact", type=PATH)
interpreter_option = click.option(
    "--interpreter", type=INTERPRETERS, help="Default: the fastest one installed."
)
public_key_option = click.option(
    "--public-key", type=PATH, metavar="KEY.pub", help="Refuse what it has not signed."
)
state_option = click.option(
    "--state", type=PATH, required=True, help="State directory."
)
max_examples_option = click.option(
    "--max-examples", type=click.IntRange(1), help="Most examples of one client."
)
