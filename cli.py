"""The command line: parse, one library call, print, exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 128 + signal when stopped by one.
Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click
from click.core import ParameterSource

import fedp
from fedp.device_runtime.contract import LOSSES
from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.manifest_check import KINDS
from fedp.training.configuration import (
    ENGINES,
    OPTIMIZERS,
    PERSONALIZED_FEDAVG,
    TrainingConfig,
)

Result = dict[str, Any]
_PATH = click.Path(path_type=pathlib.Path)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainingConfig)}
_INTERPRETERS = click.Choice(["ai_edge_litert", "tflite_runtime"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a verb and leaves with its exit code; every failure is one line."""
    debug = os.environ.get("FEDP_DEBUG") == "1"
    try:
        code = cli.main(arguments, prog_name="fedp", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx else "fedp"
        code = _fail(f"{error.format_message()} (see `{verb} --help`)", 2)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except FedpError as error:
        code = _fail(str(error), error.exit_code)
        if debug:
            raise
    except Exception as error:
        if debug:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        code = _fail(f"unexpected {what} (FEDP_DEBUG=1 shows where)", 1)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    with contextlib.suppress(OSError):  # Nobody reads stderr any more.
        click.echo(f"fedp: error: {line}", err=True)
    return code


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fedp.__version__, prog_name="fedp")
def cli() -> None:
    r"""On-device personalization: train federated, export, adapt on devices.

    \b
    fedp train --data synthetic --out run
    fedp tune run
    fedp export run --out model.tflite
    fedp evaluate model.tflite --data synthetic --report report
    fedp personalize model.tflite --data me.npz --state state
    """


def verb(function: Callable[..., Any]) -> click.Command:
    """A command with the options that every verb has: --json and --seed."""
    seed = click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=0,
        show_default=True,
        help="Of all that this verb draws at random.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout."
    )
    return cli.command()(as_json(seed(function)))


_artifact = click.argument("artifact", type=_PATH)
_interpreter = click.option(
    "--interpreter", type=_INTERPRETERS, help="Default: the fastest one installed."
)
_public_key = click.option(
    "--public-key", type=_PATH, metavar="KEY.pub", help="Refuse what it has not signed."
)
_state = click.option("--state", type=_PATH, required=True, help="State directory.")
_max_examples = click.option(
    "--max-examples", type=click.IntRange(1), help="Most examples of one client."
)


@verb
def doctor(as_json: bool, seed: int) -> None:
    r"""Say what is installed, what each verb lacks, and the command that mends it.

    \b
    Example: fedp doctor
    """
    from fedp.device_runtime import doctor as examination

    checks, packages = examination.checks(), examination.installed()
    if as_json:
        _print_json(
            {
                "machine": examination.machine(),
                "fedp": fedp.__version__,
                "packages": packages,
                "verbs": {
                    c.verb: {"ready": c.ready, "missing": c.missing, "mend": c.mend}
                    for c in checks
                },
            }
        )
        return
    click.echo(f"fedp {fedp.__version__}, {examination.machine()}\n")
    _print_table((name, found or "-") for name, found in packages.items())
    click.echo()
    _print_table(
        (c.verb, "ready" if c.ready else "lacks " + ", ".join(c.missing))
        for c in checks
    )
    for mend in dict.fromkeys(c.mend for c in checks if c.mend):
        verbs = ", ".join(c.verb for c in checks if c.mend == mend)
        click.echo(f"\nfor {verbs}:\n  {mend}")


def _setting(name: str, text: str = "", *short: str, **kwargs: Any) -> Any:
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
_ALGORITHM_2 = {
    "rounds": (0, "rounds"),
    "local_epochs": (0, "local_epochs"),
    "server_learning_rate": (0, "server_learning_rate"),
    "server_momentum": (0, "momentum"),
    "reptile_rounds": (1, "rounds"),
    "local_steps": (1, "local_steps"),
    "reptile_learning_rate": (1, "server_learning_rate"),
}


def _stage_setting(name: str, text: str, *short: str) -> Any:
    stage, field = _ALGORITHM_2[name]
    default = getattr(PERSONALIZED_FEDAVG[stage], field)
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, *short, default=default, show_default=True, help=text)


@verb
@click.option("--data", help="A path, or synthetic[:CLIENTS]; see docs/data.md.")
@click.option("--out", type=_PATH, help="Run directory to create.")
@click.option("--resume", type=_PATH, metavar="RUN", help="Continue a stopped run.")
@click.option("--repeat", type=_PATH, metavar="RUN", help="Train that run again.")
@click.option("--config", type=_PATH, help="TOML file; options here override it.")
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="ALGORITHM,rounds=N,...",
    help="One stage of the run, repeatable; Algorithm 2 unless given.",
)
@_setting(
    "model", "emnist_cnn, emnist_cnn_dropout, mlp, shakespeare_lstm, module:function."
)
@_stage_setting("rounds", "Of FedAvg.")
@_stage_setting("local_epochs", "E of FedAvg.", "-E")
@_stage_setting("server_learning_rate", "Of FedAvg.")
@_stage_setting("server_momentum", "Of FedAvg.")
@_stage_setting("reptile_rounds", "Of fine-tuning; 0: none.")
@_stage_setting("local_steps", "K of Reptile.", "-K")
@_stage_setting("reptile_learning_rate", "Of the server's Adam while fine-tuning.")
@_setting("clients_per_round", "", "-M")
@_setting("batch_size")
@_setting("client_optimizer", choice=click.Choice(OPTIMIZERS))
@_setting("client_learning_rate")
@_setting("client_momentum", "Of the client optimizer momentum.")
@_setting("engine", choice=click.Choice(ENGINES), text="Where clients train.")
@_setting("ray_address", "Of a Ray cluster's head. Default: start one.", type=str)
@_setting("clients_per_task", "Of the engine ray. Default: M / 16.", type=int)
@_setting(
    "min_clients",
    "A round with fewer left is repeated. Default: half of them.",
    type=int,
)
@_setting("dp_delta", "Of stages with aggregator=dp.", type=float)
@_setting("validation", "Share of clients.")
@_setting("test", "Share of clients.")
@_setting("client_test", "Share of a training client's examples kept untrained.")
@_setting("split_seed", "Of the client split.")
@_max_examples
@_setting(
    "eval_every",
    "Rounds between evaluations on validation clients; 0: after each stage.",
)
@_setting("eval_clients", "At most.")
@_setting("personalization_epochs", "Of personalization, here and on devices.")
@_setting("checkpoint_every", "Rounds.")
@click.pass_context
def train(context: click.Context, /, as_json: bool, seed: int, **options: Any) -> None:
    r"""Train an initial model: FedAvg(E), then Reptile(K) (Algorithm 2).

    \b
    Examples:
      fedp train --data synthetic --out run
      fedp train --data writers.npz --max-examples 400 --out run
      fedp train --data writers.npz --out run \\
        --stage fedavg,rounds=200,E=2 --stage reptile,rounds=50,K=10,server=adam
      fedp train --config experiment.toml --out run
      fedp train --resume run
      fedp train --repeat run --out again
    """
    out, resume, repeat = (options.pop(name) for name in ("out", "resume", "repeat"))
    if resume is not None:
        _refuse_other_options(context, "--resume", "resume", "as_json")
    elif out is None:
        raise click.UsageError("give --data and --out, or --resume RUN")
    if repeat is not None:
        _refuse_other_options(context, "--repeat", "repeat", "out", "as_json")
    _quiet_tensorflow()
    config = None
    if resume is None and repeat is None:
        config = _configuration(context, seed, options)
    from fedp.training.loop import train as run_training
    from fedp.training.metrics import read_participants
    from fedp.training.repeating import repeat as repeat_run

    same: bool | None = None
    if resume is not None:
        run = run_training(None, resume, resume=True)
    elif repeat is not None:
        run, same = repeat_run(repeat, out)
    else:
        run = run_training(config, out)
    result = {
        "run": str(run.path),
        "status": run.record.status,
        "rounds": run.record.rounds,
        "participated": len(read_participants(run.path)),
        "peak_memory_mb": round(run.record.peak_memory_mb or 0),
    }
    if run.record.privacy is not None:
        result |= {f"privacy_{k}": v for k, v in run.record.privacy.items()}
    if same is not None:
        result["same_model"] = same
    _print(as_json, result, f"next: fedp export {run.path} --out model.tflite")


def _given(context: click.Context) -> set[str]:
    """Names of the options that stand on the command line."""
    names = (parameter.name or "" for parameter in context.command.params)
    source = context.get_parameter_source
    return {name for name in names if source(name) is ParameterSource.COMMANDLINE}


def _refuse_other_options(context: click.Context, flag: str, *allowed: str) -> None:
    given = _given(context)
    for parameter in context.command.params:
        if parameter.name in given and parameter.name not in allowed:
            raise click.UsageError(
                f"{parameter.opts[0]} cannot go with {flag}, which takes a run as it "
                "was: leave it out"
            )


def _refuse_options(context: click.Context, thing: str, *refused: str) -> None:
    for parameter in context.command.params:
        if parameter.name in refused and parameter.name in _given(context):
            raise click.UsageError(
                f"{parameter.opts[0]} cannot go with {thing}: leave it out"
            )


def _configuration(context: click.Context, seed: int, options: dict[str, Any]) -> Any:
    """Defaults, then the file's fields, then what stands on the command line."""
    from fedp.training.config_sources import parse_stage, read_config_file, stages_of
    from fedp.training.data.opening import absolute

    given = _given(context)
    file = options.pop("config")
    fields = {} if file is None else read_config_file(file)
    short = {name: options.pop(name) for name in _ALGORITHM_2}
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
    for name, (number, field) in _ALGORITHM_2.items():
        stages[number] = dataclasses.replace(stages[number], **{field: short[name]})
    return tuple(stage for stage in stages if stage.rounds)


class _List(click.ParamType):
    """Values with commas between."""

    name = "list"

    def __init__(self, kind: Callable[[str], Any], what: str) -> None:
        self._kind, self._what = kind, what

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        try:
            return tuple(self._kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of {self._what} such as 1,2", param, ctx)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < math.inf:
        raise ValueError(text)
    return rate


class _Rate(click.ParamType):
    """A learning rate."""

    name = "float"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            return _rate(value)
        except ValueError:
            self.fail(f"{value!r} is no finite number above 0", param, ctx)


_floats, _ints = _List(float, "numbers"), _List(int, "whole numbers")
_rates = _List(_rate, "finite numbers above 0")


@verb
@click.argument("run", type=_PATH)
@click.option("--stage", help="Tune the model after this stage. Default: the last.")
@click.option(
    "--trainable",
    multiple=True,
    help="What trains: all, head, last:N, a pattern; repeatable.  "
    "[default: all, last:2, head]",
)
@click.option(
    "--learning-rates",
    "learning_rate",
    type=_rates,
    help="[default: the training's, times 1/4 to 4]",
)
@click.option("--epochs", type=_ints, help="[default: 1,2,5,10]")
@click.option(
    "--guards",
    "guard",
    multiple=True,
    type=click.Choice(KINDS),
    help="Repeatable; what docs/guard.md says of them.  [default: the policy's]",
)
@click.option(
    "--hold-outs",
    "hold_out",
    type=_floats,
    help="Shares held out for the guard of that name; each costs as much as a rate.  "
    "[default: 0.25]",
)
@click.option(
    "--folds",
    type=_ints,
    help="Of the guards that cross-validate; each costs as much as a rate.  "
    "[default: 4]",
)
@click.option(
    "--blends",
    type=_floats,
    help="One set: shares of the way to the adapted weights that may go live.  "
    "[default: 1]",
)
@click.option(
    "--cautions",
    "caution",
    type=_floats,
    help="Standard errors by which the log loss must fall.  [default: 0,0.75,1.5]",
)
@click.option(
    "--margins",
    "margin",
    type=_floats,
    help="Gains that the guard asks for, 0 to 1.  [default: 0,0.02]",
)
@click.option(
    "--min-hold-outs",
    "min_hold_out",
    type=_ints,
    help="Fewest examples that the guard judges by.  [default: 3,10]",
)
@click.option(
    "--max-hurt",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Largest share of clients hurt after the guard.",
)
@click.option(
    "--clients-limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Most validation clients.",
)
@click.option(
    "--report", "report_dir", type=_PATH, help="Directory to write to.  [default: run]"
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@_max_examples
@_interpreter
def tune(
    as_json: bool,
    seed: int,
    run: pathlib.Path,
    max_hurt: float,
    stage: str | None,
    clients_limit: int,
    report_dir: pathlib.Path | None,
    processes: int,
    max_examples: int | None,
    interpreter: str | None,
    blends: list[float] | None,
    **grid: Any,
) -> None:
    r"""Choose how devices personalize, on validation clients; export then uses it.

    \b
    Examples:
      fedp tune run
      fedp tune run --trainable all --trainable head --epochs 1,5 --max-hurt 0.05
    """
    _quiet_tensorflow()
    from fedp.training.tuning import table
    from fedp.training.tuning import tune as run_tuning

    with _progress("adaptations") as advance:
        found = run_tuning(
            run,
            stage=stage,
            grid={**grid, "blends": [tuple(blends)] if blends else ()},
            max_hurt=max_hurt,
            clients_limit=clients_limit,
            max_examples=max_examples,
            interpreter=interpreter,
            processes=processes,
            seed=seed,
            report_dir=report_dir,
            on_result=advance,
            report=_say,
        )
    place = found.report / "tuning.html"
    if as_json:
        choice = table.choice_fields(found.choice)
        _print_json({**choice, "policies": len(found.rows), "report": str(place)})
        return
    rows = table.best_rows(found.rows, found.choice, max_hurt, found.sizes)
    if found.untuned:
        rows.append((*table.cells(found.untuned), "without tuning"))
    _print_table([(*table.HEADER, ""), *rows])
    click.echo()
    for remark in found.choice.remarks:
        click.echo(f"note: {remark}")
    click.echo(
        f"{found.choice.row.clients} validation clients, initial accuracy "
        f"{found.choice.row.initial:.2%}; the choice is in {run / 'policy.json'}\n"
        f"report: {place}\n\nnext: fedp export {run} --out model.tflite"
    )


# Of `export`, for a model that no run of ours has trained.
_KERAS_OPTIONS = ("loss", "classes", "batch_size", "client_optimizer")


@verb
@click.argument("run", type=_PATH, metavar="RUN|MODEL.keras")
@click.option("--out", type=_PATH, required=True, help="The .tflite file to write.")
@click.option("--stage", help="Take the model after this stage. Default: the last.")
@click.option("--sign", type=_PATH, metavar="KEY", help="Private key to sign it with.")
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
@click.option("--learning-rate", type=_Rate(), help="In place of the policy's.")
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
    _quiet_tensorflow()
    from fedp.device_runtime.certificate import certificate_path
    from fedp.export.private_key import load_private_key

    key = None if sign is None else load_private_key(sign)
    from fedp.device_runtime.contract import Policy
    from fedp.export.exporter import Target, check_place, write_artifact
    from fedp.export.from_keras import SUFFIXES, export_keras
    from fedp.export.from_run import export_run

    check_place(out, run, *([] if sign is None else [sign]))
    changes = {name: value for name, value in policy.items() if value is not None}
    target = Target(
        batch_size=batch_size,
        client_optimizer=client_optimizer,
        fixed_batch=fixed_batch,
        initial_weights=initial_weights,
        policy=Policy(**changes),
    )
    if run.suffix in SUFFIXES:
        _refuse_options(context, "a Keras file", "stage", "untuned")
        done = export_keras(
            run,
            classes=classes.split(",") if classes else None,
            loss=loss,
            target=target,
            seed=seed,
            report=_say,
        )
    else:
        _refuse_options(context, "a run, which has its own", *_KERAS_OPTIONS)
        done = export_run(
            run,
            stage=stage,
            target=target,
            tuned=not untuned,
            changes=changes,
            seed=seed,
            report=_say,
        )
    if key is not None:
        done = done.signed(key.sign)
    write_artifact(done.content, out, done.certificate)
    ops = sum(done.manifest.ops.values())
    result = {
        "artifact": str(out),
        "bytes": len(done.content),
        "weight_bytes": 4 * sum(w.size for w in done.manifest.weights),
        "sha256": done.manifest.sha256,
        "signed": done.manifest.signed,
        "certificate": str(certificate_path(out)),
        "ops": done.manifest.ops,
        "parity": done.manifest.parity,
        "policy": dataclasses.asdict(done.manifest.policy),
    }
    if as_json:
        _print_json(result)
        return
    click.echo(f"{out}: {len(done.content):,} bytes, {ops} ops, all builtin")
    click.echo(f"{certificate_path(out)}: what `fedp verify` compares on a device")
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
        _print_table(rows)


@verb
@click.option("--out", type=_PATH, required=True, metavar="KEY", help="File to make.")
@click.pass_context
def keygen(
    context: click.Context, /, as_json: bool, seed: int, out: pathlib.Path
) -> None:
    r"""Make a key pair: KEY signs exports, KEY.pub goes to the devices.

    \b
    Example:
      fedp keygen --out KEY
    """
    if "seed" in _given(context):
        raise click.UsageError("--seed would make a key that can be guessed: omit it")
    from fedp.export.private_key import make_key_pair

    public = make_key_pair(out)
    hint = f"next: fedp export run --sign {out} --out model.tflite"
    _print(as_json, {"private_key": str(out), "public_key": str(public)}, hint)


@verb
@_artifact
@click.option(
    "--certificate", type=_PATH, help="Default: beside the artifact, by its name."
)
@_interpreter
@_public_key
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
        _print_json(
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
    _print_table(rows)
    click.echo(f"{'PASS' if result.passed else 'FAIL'}\n")


@verb
@_artifact
@click.option("--data", required=True, help="synthetic[:CLIENTS] or an .npz.")
@click.option(
    "--clients",
    default="test",
    show_default=True,
    help="test, validation, train, all, or names with commas between.",
)
@click.option("--report", type=_PATH, required=True, help="Directory to write to.")
@click.option("--seen-clients", is_flag=True, help="Allow training clients (Table 2).")
@click.option(
    "--new-clients",
    is_flag=True,
    help="No client here was trained on; a Keras file's model needs this or "
    "--seen-clients.",
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@_max_examples
@_interpreter
@_public_key
def evaluate(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    data: str,
    clients: str,
    report: pathlib.Path,
    **options: Any,
) -> None:
    r"""Measure what personalization does to each client, on the exported file.

    \b
    Example:
      fedp evaluate model.tflite --data writers.npz --clients test --report report
    """
    from fedp.training.evaluation.run import evaluate as run_evaluation

    with _progress() as advance:
        summary = run_evaluation(
            artifact, data, clients, report, seed=seed, on_result=advance, **options
        )
    if as_json:
        _print_json({**dataclasses.asdict(summary), "report": str(report)})
        return
    _print_table(_summary_rows(summary))
    click.echo(f"\nreport: {report / 'report.html'}")


def _summary_rows(summary: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "initial", "personalized", "deployed")]
    means = (summary.initial, summary.personalized, summary.deployed)
    rows.append(("mean accuracy", *(f"{m.value:.4f}" for m in means)))
    for label, before, after in (
        ("clients hurt", summary.hurt_before_guard, summary.hurt_after_guard),
        (
            "hurt > 1 point",
            summary.hurt_a_point_before_guard,
            summary.hurt_a_point_after_guard,
        ),
    ):
        shown = (
            f"{s.count} of {s.of} ({s.low:.0%} to {s.high:.0%})"
            for s in (before, after)
        )
        rows.append((label, "", *shown))
    kept = summary.kept
    rows.append(("kept by the guard", "", "", f"{kept.count} of {kept.of}"))
    return rows


@verb
@_artifact
@click.option("--data", type=_PATH, required=True, help="An .npz with x and y.")
@_state
@click.option("--epochs", type=click.IntRange(0), help="In place of the policy's.")
@click.option("--seconds", type=click.FloatRange(0), help="Most time to adapt.")
@_interpreter
@_public_key
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
    from fedp.device_runtime.examples import read_arrays

    with Personalizer.open(
        artifact, state, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        x, y = read_arrays(data, "x", "y")
        outcome = personalizer.personalize(
            x, y, budget=Budget(seconds=seconds, epochs=epochs), seed=seed
        )
        classes = personalizer.manifest.labels.are_classes
    if as_json:
        _print_json(dataclasses.asdict(outcome))
        return
    losses = outcome.initial_loss, outcome.personalized_loss
    numbers = [("log loss" if classes else "loss", *losses)]
    if classes:
        hits = outcome.initial_accuracy, outcome.personalized_accuracy
        numbers.insert(0, ("accuracy", *hits))
    _print_table(
        [(f"on {outcome.judged} judged", "initial", "personalized")]
        + [(name, _number(a), _number(b)) for name, a, b in numbers]
    )
    click.echo(
        f"\n{outcome.decision}: {outcome.reason}\n"
        f"{outcome.examples} examples, {outcome.steps} steps, {outcome.seconds:.1f} s"
    )


@verb
@_artifact
@_state
@click.option(
    "--input", "input_", type=_PATH, required=True, help="An .npz with an array x."
)
@click.option("--out", type=_PATH, help="Write the answers to an .npz.")
@_interpreter
@_public_key
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
        with _writing(out):
            check_place(out)
    place = _existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        _mention_missing(state)
        (x,) = read_arrays(input_, "x")
        answers = personalizer.predict(x)
        live, manifest = personalizer.status().live, personalizer.manifest
    if not manifest.labels.are_classes:
        _write_arrays(out, numbers=answers)
        if as_json:
            _print_json({"live": live, "numbers": answers.tolist()})
            return
        _say(f"live: {live}")
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
        _print_json({"live": live, "predictions": predictions})
        return
    _say(f"live: {live}")
    for number, (label, p) in enumerate(rows):
        if isinstance(label, list):
            label, p = json.dumps(label, ensure_ascii=False), sum(p) / len(p)
        click.echo(f"{number}\t{label}\t{p:.4f}")


def _write_arrays(out: pathlib.Path | None, **arrays: Any) -> None:
    """Puts what was predicted where --out says, if it says anything."""
    import numpy as np

    from fedp.device_runtime.whole_file import write_whole

    if out is not None:
        with _writing(out):
            write_whole(out, lambda file: np.savez(file, **arrays))


@verb
@_artifact
@click.option("--state", type=_PATH, help="State directory. Default: initial model.")
@click.option("--out", type=_PATH, required=True, help="The .tflite file to write.")
@_interpreter
@_public_key
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

    with _writing(out):
        check_place(out)
    if out.exists() and artifact.exists() and out.samefile(artifact):
        raise ArtifactError(f"{out} is the artifact itself: choose another --out")
    place = None if state is None else _existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        if state is not None:
            _mention_missing(state)
        content, live = personalizer.bake(), personalizer.status().live
    with _writing(out):
        write_whole(out, lambda file: file.write(content))
    _print(as_json, {"model": str(out), "bytes": len(content), "live": live})


@verb
@_artifact
@_state
@_interpreter
@_public_key
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

    place = _existing(state)
    with Personalizer.open(
        artifact, place, interpreter=interpreter, public_key=public_key
    ) as personalizer:
        _mention_missing(state)
        _print(as_json, dataclasses.asdict(personalizer.status()))


@verb
@_artifact
@_public_key
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
        _print_json(found.to_json())
        return
    for heading, rows in inspection.sections(found):
        if heading:
            click.echo(f"\n{heading}")
        _print_table(rows)


@verb
@_state
def reset(as_json: bool, seed: int, state: pathlib.Path) -> None:
    r"""Go back to the initial model; forgets what was learned from the examples.

    \b
    Example:
      fedp reset --state state
    """
    from fedp.device_runtime import forget_state

    _mention_missing(state)
    if _existing(state):
        forget_state(state)
    _print(as_json, {"state": str(state), "live": "initial"})


@contextlib.contextmanager
def _writing(out: pathlib.Path) -> Iterator[None]:
    """Whatever is wrong with the place of --out becomes one line."""
    try:
        yield
    except OSError as error:
        raise FedpError(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _existing(state: pathlib.Path) -> pathlib.Path | None:
    """The directory, or None where nothing is: a mistyped path must not be made."""
    return state if state.exists() else None


def _mention_missing(state: pathlib.Path) -> None:
    if not state.exists():
        _say(f"there is no state in {state}: the initial model is live")


def _quiet_tensorflow() -> None:
    """TensorFlow's own log lines are not for users; its errors are raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextlib.contextmanager
def _progress(what: str = "clients") -> Iterator[Callable[[int, int, Any], None]]:
    """A bar on stderr with the time left; nothing where that is no terminal."""
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def advance(done: int, total: int, result: Any) -> None:
            nonlocal bar
            if not sys.stderr.isatty():
                return
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label=what, file=sys.stderr)
                )
            bar.update(1)

        yield advance


def _print(as_json: bool, result: Result, hint: str = "") -> None:
    if as_json:
        _print_json(result)
        return
    _print_table((key, _cell(value)) for key, value in result.items())
    if hint:
        click.echo(f"\n{hint}")


def _print_json(result: Any) -> None:
    click.echo(json.dumps(result))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two spaces apart."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
