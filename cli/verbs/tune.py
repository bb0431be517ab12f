"""`fedp tune`."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from fedp.cli.call import GOES_ON
from fedp.cli.options import PATH, interpreter_option, max_examples_option
from fedp.cli.printing import print_json, print_table
from fedp.cli.progress_bar import progress_bar
from fedp.cli.values import floats, ints, rates
from fedp.cli.verb import quiet_tensorflow, verb
from fedp.cli.work_log import work_log
from fedp.device_runtime.manifest_check import KINDS


@verb(needs="tuning", again=GOES_ON)
@click.argument("run", type=PATH)
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
    type=rates,
    help="[default: the training's, times 1/4 to 4]",
)
@click.option("--epochs", type=ints, help="[default: 1,2,5,10]")
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
    type=floats,
    help="Shares held out for the guard of that name; each costs as much as a rate.  "
    "[default: 0.25]",
)
@click.option(
    "--folds",
    type=ints,
    help="Of the guards that cross-validate; each costs as much as a rate.  "
    "[default: 4]",
)
@click.option(
    "--blends",
    type=floats,
    help="One set: shares of the way to the adapted weights that may go live.  "
    "[default: 1]",
)
@click.option(
    "--cautions",
    "caution",
    type=floats,
    help="Standard errors by which the log loss must fall.  [default: 0,1.25,2]",
)
@click.option(
    "--margins",
    "margin",
    type=floats,
    help="Gains that the guard asks for, 0 to 1.  [default: 0,0.02]",
)
@click.option(
    "--min-hold-outs",
    "min_hold_out",
    type=ints,
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
    "--report", "report_dir", type=PATH, help="Directory to write to.  [default: run]"
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@max_examples_option
@interpreter_option
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
    quiet_tensorflow()
    from fedp.training.tuning import table
    from fedp.training.tuning import tune as run_tuning
    from fedp.training.tuning.run import FOLDER

    with (
        work_log((report_dir or run / FOLDER) / "log.txt") as log,
        progress_bar("adaptations", log) as advance,
    ):
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
            report=log.say,
        )
    place = found.report / "tuning.html"
    if as_json:
        choice = table.choice_fields(found.choice)
        print_json({**choice, "policies": len(found.rows), "report": str(place)})
        return
    rows = table.best_rows(found.rows, found.choice, max_hurt, found.sizes)
    if found.untuned:
        rows.append((*table.cells(found.untuned), "without tuning"))
    print_table([(*table.HEADER, ""), *rows])
    click.echo()
    for remark in found.choice.remarks:
        click.echo(f"note: {remark}")
    click.echo(
        f"{found.choice.row.clients} validation clients, initial accuracy "
        f"{found.choice.row.initial:.2%}; the choice is in {run / 'policy.json'}\n"
        f"report: {place}\n\nnext: fedp export {run} --out model.tflite"
    )
