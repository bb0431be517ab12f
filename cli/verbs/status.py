"""`fedp status`."""

from __future__ import annotations

import dataclasses
import pathlib

from fedp.cli.options import (
    artifact_argument,
    interpreter_option,
    public_key_option,
    state_option,
)
from fedp.cli.places import existing, mention_missing
from fedp.cli.printing import print_result
from fedp.cli.verb import verb


@verb(needs="interpreter")
@artifact_argument
@state_option
@interpreter_option
@public_key_option
def status(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    state: pathlib.Path,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Say which model is live on this device, and why.

    \b
    Example:
      fedp status model.tflite --state state
    """
    from fedp.device_runtime import Personalizer

    place = existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        mention_missing(state)
        print_result(as_json, dataclasses.asdict(personalizer.status()))
