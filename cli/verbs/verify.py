"""`fedp verify`."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    public_key_option,
)
from fedp.cli.printing import print_json, print_table
from fedp.cli.verb import verb


@verb(needs="interpreter")
@artifact_argument
@click.option(
    "--certificate", type=PATH, help="Default: beside the artifact, by its name."
)
@interpreter_option
@public_key_option
def verify(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    certificate: pathlib.Path | None,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Train some steps here and compare them with TensorFlow's; exit code 1 on a FAIL.

    \b
    Example:
      fedp verify model.tflite --public-key KEY.pub
    """
    from fedp.device_runtime.verification import verify_artifact

    results = verify_artifact(
        artifact, certificate, interpreter=interpreter, public_key=public_key
    )
    if as_json:
        print_json(
            {"artifact": str(artifact), "results": [r.to_json() for r in results]}
        )
    else:
        for result in results:
            _print_verification(result)
    if not all(result.passed for result in results):
        raise click.exceptions.Exit(1)


def _print_verification(result: Any) -> None:
    rows = [
        ("step", "loss here", "TensorFlow's", "weights differ by", "of the way", "")
    ]
    for number, step in enumerate(result.steps, 1):
        rows.append(
            (
                str(number),
                f"{step.loss:.6f}",
                f"{step.expected_loss:.6f}",
                f"{step.difference:.1e}",
                f"{step.share:.1e}",
                "" if step.passed else "beyond tolerance: " + ", ".join(step.failed),
            )
        )
    click.echo(f"{result.interpreter} {result.version}")
    print_table(rows)
    click.echo(f"{'PASS' if result.passed else 'FAIL'}\n")
