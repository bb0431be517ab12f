"""`fedp bake`."""

from __future__ import annotations

import pathlib

import click

from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    public_key_option,
)
from fedp.cli.places import existing, mention_missing, writing
from fedp.cli.printing import print_result
from fedp.cli.verb import verb


@verb(needs="interpreter")
@artifact_argument
@click.option("--state", type=PATH, help="State directory. Default: initial model.")
@click.option("--out", type=PATH, required=True, help="The .tflite file to write.")
@interpreter_option
@public_key_option
def bake(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    state: pathlib.Path | None,
    out: pathlib.Path,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Write the live model as a stock TFLite file, for any app that runs those.

    \b
    Example:
      fedp bake model.tflite --state state --out personal.tflite
    """
    from fedp.device_runtime import Personalizer
    from fedp.device_runtime.errors import ArtifactError
    from fedp.device_runtime.whole_file import check_place, write_whole

    with writing(out):
        check_place(out)
    if out.exists() and artifact.exists() and out.samefile(artifact):
        raise ArtifactError(f"{out} is the artifact itself: choose another --out")
    place = None if state is None else existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        content, live = personalizer.bake(), personalizer.status().live
    with writing(out):
        write_whole(out, lambda file: file.write(content))
    if state is not None:
        mention_missing(state)
    print_result(as_json, {"model": str(out), "bytes": len(content), "live": live})
