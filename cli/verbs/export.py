"""`fedp export`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

import click

from fedp.cli.given import refuse_options
from fedp.cli.options import PATH
from fedp.cli.printing import print_json, print_table
from fedp.cli.values import Rate
from fedp.cli.verb import quiet_tensorflow, verb
from fedp.cli.work_log import work_log
from fedp.device_runtime.contract import LOSSES
from fedp.device_runtime.manifest_check import KINDS
from fedp.training.configuration import OPTIMIZERS

if TYPE_CHECKING:
    from fedp.export.exporter import Export

# Of `export`, for a model that no run of ours has trained.
_KERAS_OPTIONS = ("loss", "classes", "batch_size", "client_optimizer")


@verb(needs="exporting")
@click.argument("run", type=PATH, metavar="RUN|MODEL.keras")
@click.option("--out", type=PATH, required=True, help="The .tflite file to write.")
@click.option("--stage", help="Take the model after this stage. Default: the last.")
@click.option("--sign", type=PATH, metavar="KEY", help="Private key to sign it with.")
@click.option(
    "--fixed-batch",
    is_flag=True,
    help="One batch size alone, for hosts that need fixed shapes.",
)
@click.option(
    "--initial-weights",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="float16 halves the file; what it costs in accuracy is printed for a run, and "
    "not known for a Keras file, which brings no data.",
)
@click.option(
    "--loss",
    type=click.Choice(LOSSES),
    default=LOSSES[0],
    show_default=True,
    help="Of a Keras file's model.",
)
@click.option("--classes", help="Of a Keras file: labels, with commas between.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Of a training step, for a Keras file.",
)
@click.option(
    "--client-optimizer",
    type=click.Choice(OPTIMIZERS),
    default="sgd",
    show_default=True,
    help="Inside the file, for a Keras file; a run has its own.",
)
@click.option("--trainable", help="all, head, last:N or a pattern of layer names.")
@click.option("--learning-rate", type=Rate(), help="In place of the policy's.")
@click.option("--epochs", type=click.IntRange(1), help="In place of the policy's.")
@click.option("--guard", type=click.Choice(KINDS), help="In place of the policy's.")
@click.option("--untuned", is_flag=True, help="Not the policy that fedp tune chose.")
@click.pass_context
def export(
    context: click.Context,
    /,
    as_json: bool,
    seed: int,
    run: pathlib.Path,
    out: pathlib.Path,
    stage: str | None,
    fixed_batch: bool,
    initial_weights: str,
    loss: str,
    classes: str | None,
    batch_size: int,
    client_optimizer: str,
    sign: pathlib.Path | None,
    untuned: bool,
    **policy: Any,
) -> None:
    r"""Turn a run or a Keras model into a TFLite file that can train, and prove it.

    \b
    Examples:
      fedp export run --out model.tflite
      fedp export run --stage fedavg --out before-fine-tuning.tflite
      fedp export run --initial-weights float16 --out small.tflite
      fedp export run --sign KEY --out model.tflite
      fedp export run --trainable head --learning-rate 0.1 --out head.tflite
      fedp export model.keras --classes walk,run,sit --out model.tflite
    """
    quiet_tensorflow()
    from fedp.device_runtime.certificate import certificate_path
    from fedp.export.private_key import load_private_key

    key = None if sign is None else load_private_key(sign)
    from fedp.device_runtime.contract import Policy
    from fedp.export.exporter import Target, check_place, write_artifact
    from fedp.export.from_keras import SUFFIXES, export_keras
    from fedp.export.from_run import export_run

    log_place = out.with_name(out.name + ".log")
    for place in (out, log_place):
        check_place(place, run, *([] if sign is None else [sign]))
    changes = {name: value for name, value in policy.items() if value is not None}
    target = Target(
        batch_size=batch_size,
        client_optimizer=client_optimizer,
        fixed_batch=fixed_batch,
        initial_weights=initial_weights,
        policy=Policy(**changes),
    )
    with work_log(log_place) as log:
        if run.suffix in SUFFIXES:
            refuse_options(context, "a Keras file", "stage", "untuned")
            done = export_keras(
                run,
                classes=classes.split(",") if classes else None,
                loss=loss,
                target=target,
                seed=seed,
                report=log.say,
            )
        else:
            refuse_options(context, "a run, which has its own", *_KERAS_OPTIONS)
            done = export_run(
                run,
                stage=stage,
                target=target,
                tuned=not untuned,
                changes=changes,
                seed=seed,
                report=log.say,
            )
        if key is not None:
            done = done.signed(key.sign)
        write_artifact(done.content, out, done.certificate)
    place = certificate_path(out)
    if as_json:
        print_json(_fields(done, out, place))
    else:
        _print_export(done, out, place)


def _fields(done: Export, out: pathlib.Path, certificate: pathlib.Path) -> Any:
    return {
        "artifact": str(out),
        "bytes": len(done.content),
        "weight_bytes": 4 * sum(w.size for w in done.manifest.weights),
        "sha256": done.manifest.sha256,
        "signed": done.manifest.signed,
        "certificate": str(certificate),
        "ops": done.manifest.ops,
        "parity": done.manifest.parity,
        "policy": dataclasses.asdict(done.manifest.policy),
    }


def _print_export(done: Export, out: pathlib.Path, certificate: pathlib.Path) -> None:
    ops = sum(done.manifest.ops.values())
    click.echo(f"{out}: {len(done.content):,} bytes, {ops} ops, all builtin")
    click.echo(f"{certificate}: what `fedp verify` compares on a device")
    if "policy" in done.manifest.provenance:
        click.echo(f"policy: {done.manifest.provenance['policy']}")
    for parity in done.parity:
        click.echo(
            f"\nparity with TensorFlow on {parity.interpreter}, {parity.steps} steps: "
            f"largest loss difference {parity.loss:.1e} of the loss, of answers "
            f"{parity.answers:.1e}, and of weights:"
        )
        rows = [("weight", "typical", "worst", "drift", "a step moves it")]
        for name, w in parity.weights.items():
            drift = "-" if w.drift is None else f"{w.drift:.1e}"
            rows.append(
                (name, f"{w.typical:.1e}", f"{w.worst:.1e}", drift, f"{w.moved:.1e}")
            )
        print_table(rows)
