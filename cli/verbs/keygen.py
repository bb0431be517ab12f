"""`fedp keygen`."""

from __future__ import annotations

import pathlib

import click

from fedp.cli.given import given_on_the_line
from fedp.cli.options import PATH
from fedp.cli.printing import print_result
from fedp.cli.verb import verb


@verb(needs="signing")
@click.option("--out", type=PATH, required=True, metavar="KEY", help="File to make.")
@click.pass_context
def keygen(
    context: click.Context, /, as_json: bool, seed: int, out: pathlib.Path
) -> None:
    r"""Make a key pair: KEY signs exports, KEY.pub goes to the devices.

    \b
    Example:
      fedp keygen --out KEY
    """
    if "seed" in given_on_the_line(context):
        raise click.UsageError("--seed would make a key that can be guessed: omit it")
    from fedp.export.private_key import make_key_pair

    public = make_key_pair(out)
    hint = f"next: fedp export run --sign {out} --out model.tflite"
    print_result(as_json, {"private_key": str(out), "public_key": str(public)}, hint)
