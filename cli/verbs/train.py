"""`fedp train`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import click

from fedp.cli.given import refuse_other_options
from fedp.cli.options import PATH, max_examples_option
from fedp.cli.printing import print_result
from fedp.cli.training_options import configuration, setting, stage_setting
from fedp.cli.verb import quiet_tensorflow, verb
from fedp.cli.work_log import work_log
from fedp.training.configuration import ENGINES, OPTIMIZERS, TrainingConfig

if TYPE_CHECKING:
    from fedp.training.run_directory import Run


@verb(needs="training")
@click.option("--data", help="A path, or synthetic[:CLIENTS]; see docs/data.md.")
@click.option("--out", type=PATH, help="Run directory to create.")
@click.option("--resume", type=PATH, metavar="RUN", help="Continue a stopped run.")
@click.option("--repeat", type=PATH, metavar="RUN", help="Train that run again.")
@click.option("--config", type=PATH, help="TOML file; options here override it.")
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="ALGORITHM,rounds=N,...",
    help="One stage of the run, repeatable; Algorithm 2 unless given.",
)
@setting(
    "model", "emnist_cnn, emnist_cnn_dropout, mlp, shakespeare_lstm, module:function."
)
@stage_setting("rounds", "Of FedAvg.")
@stage_setting("local_epochs", "E of FedAvg.", "-E")
@stage_setting("server_learning_rate", "Of FedAvg.")
@stage_setting("server_momentum", "Of FedAvg.")
@stage_setting("reptile_rounds", "Of fine-tuning; 0: none.")
@stage_setting("local_steps", "K of Reptile.", "-K")
@stage_setting("reptile_learning_rate", "Of the server's Adam while fine-tuning.")
@setting("clients_per_round", "", "-M")
@setting("batch_size")
@setting("client_optimizer", choice=click.Choice(OPTIMIZERS))
@setting("client_learning_rate")
@setting("client_momentum", "Of the client optimizer momentum.")
@setting("engine", choice=click.Choice(ENGINES), text="Where clients train.")
@setting("ray_address", "Of a Ray cluster's head. Default: start one.", type=str)
@setting("clients_per_task", "Of the engine ray. Default: M / 16.", type=int)
@setting(
    "min_clients",
    "A round with fewer left is repeated. Default: half of them.",
    type=int,
)
@setting("dp_delta", "Of stages with aggregator=dp.", type=float)
@setting("validation", "Share of clients.")
@setting("test", "Share of clients.")
@setting("client_test", "Share of a training client's examples kept untrained.")
@setting("split_seed", "Of the client split.")
@max_examples_option
@setting(
    "eval_every",
    "Rounds between evaluations on validation clients; 0: after each stage.",
)
@setting("eval_clients", "At most.")
@setting("personalization_epochs", "Of personalization, here and on devices.")
@setting("checkpoint_every", "Rounds.")
@click.pass_context
def train(context: click.Context, /, as_json: bool, seed: int, **options: Any) -> None:
    r"""Train an initial model: FedAvg(E), then Reptile(K) (Algorithm 2).

    \b
    Examples:
      fedp train --data synthetic --out run
      fedp train --data writers.npz --max-examples 400 --out run
      fedp train --data writers.npz --out run \
        --stage fedavg,rounds=200,E=2 --stage reptile,rounds=50,K=10,server=adam
      fedp train --config experiment.toml --out run
      fedp train --resume run
      fedp train --repeat run --out again
    """
    out, resume, repeat = (options.pop(name) for name in ("out", "resume", "repeat"))
    if resume is not None:
        refuse_other_options(context, "--resume", "resume", "as_json")
    elif out is None:
        raise click.UsageError("give --data and --out, or --resume RUN")
    if repeat is not None:
        refuse_other_options(context, "--repeat", "repeat", "out", "as_json")
    quiet_tensorflow()
    config = None
    if resume is None and repeat is None:
        config = configuration(context, seed, options)
    run, same = _train(config, out, resume, repeat)
    from fedp.training.metrics import read_participants

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
    print_result(as_json, result, f"next: fedp export {run.path} --out model.tflite")


def _train(
    config: TrainingConfig | None,
    out: pathlib.Path,
    resume: pathlib.Path | None,
    repeat: pathlib.Path | None,
) -> tuple[Run, bool | None]:
    """The run, and whether it is the one that was to be repeated."""
    from fedp.cli.logged_progress import LoggedProgress
    from fedp.training.loop import train as run_training
    from fedp.training.repeating import repeat as repeat_run

    place = out if resume is None else resume
    with work_log(place / "log.txt") as log:
        ui = LoggedProgress(log, f"continue with `fedp train --resume {place}`")
        if repeat is not None:
            return repeat_run(repeat, place, ui=ui)
        return run_training(config, place, resume=resume is not None, ui=ui), None
