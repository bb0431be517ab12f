"""`fedp inspect`."""

from __future__ import annotations

import pathlib

import click

from fedp.cli.options import artifact_argument, public_key_option
from fedp.cli.printing import print_json, print_table
from fedp.cli.verb import verb


@verb(needs="nothing")
@artifact_argument
@public_key_option
def inspect(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    public_key: pathlib.Path | None,
) -> None:
    r"""Say what an artifact holds, takes, costs and where it comes from.

    \b
    Example:
      fedp inspect model.tflite
    """
    from fedp.device_runtime import inspection

    found = inspection.inspect(artifact, public_key)
    if as_json:
        print_json(found.to_json())
        return
    for heading, rows in inspection.sections(found):
        if heading:
            click.echo(f"\n{heading}")
        print_table(rows)
