"""`fedp predict`."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import click

from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    public_key_option,
    state_option,
)
from fedp.cli.places import existing, mention_missing, naming, writing
from fedp.cli.printing import print_json, say
from fedp.cli.verb import verb


@verb(needs="interpreter")
@artifact_argument
@state_option
@click.option(
    "--input", "input_", type=PATH, required=True, help="An .npz with an array x."
)
@click.option("--out", type=PATH, help="Write the answers to an .npz.")
@interpreter_option
@public_key_option
def predict(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    state: pathlib.Path,
    input_: pathlib.Path,
    out: pathlib.Path | None,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Predict with whichever model is live on this device.

    \b
    Example:
      fedp predict model.tflite --state state --input x.npz
    """
    import numpy as np

    from fedp.device_runtime import Personalizer
    from fedp.device_runtime.examples import read_arrays
    from fedp.device_runtime.whole_file import check_place

    if out is not None:
        with writing(out):
            check_place(out)
    place = existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        (x,) = read_arrays(input_, "x")
        with naming(input_):
            answers = personalizer.predict(x)
        live, manifest = personalizer.status().live, personalizer.manifest
    mention_missing(state)
    if not manifest.labels.are_classes:
        _write_arrays(out, numbers=answers)
        if as_json:
            print_json({"live": live, "numbers": answers.tolist()})
            return
        say(f"live: {live}")
        for number, row in enumerate(answers.reshape(len(answers), -1)):
            click.echo("\t".join([str(number), *(f"{value:.6g}" for value in row)]))
        return
    # One label an example, or one a step of a sequence.
    labels = np.array(manifest.classes, str)[answers.argmax(axis=-1)]
    best = answers.max(axis=-1)
    _write_arrays(out, probabilities=answers, labels=labels)
    rows = list(zip(labels.tolist(), best.tolist(), strict=True))
    if as_json:
        predictions = [{"label": label, "probability": p} for label, p in rows]
        print_json({"live": live, "predictions": predictions})
        return
    say(f"live: {live}")
    for number, (label, p) in enumerate(rows):
        if isinstance(label, list):
            label, p = json.dumps(label, ensure_ascii=False), sum(p) / len(p)
        click.echo(f"{number}\t{label}\t{p:.4f}")


def _write_arrays(out: pathlib.Path | None, **arrays: Any) -> None:
    """Puts what was predicted where --out says, if it says anything."""
    import numpy as np

    from fedp.device_runtime.whole_file import write_whole

    if out is not None:
        with writing(out):
            write_whole(out, lambda file: np.savez(file, **arrays))
