"""`fedp evaluate`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import click

from fedp.cli.call import GOES_ON
from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    max_examples_option,
    public_key_option,
)
from fedp.cli.printing import print_json, print_table
from fedp.cli.progress_bar import progress_bar
from fedp.cli.verb import verb
from fedp.cli.work_log import work_log


@verb(needs="evaluating", again=GOES_ON)
@artifact_argument
@click.option("--data", required=True, help="As for `fedp train`: docs/data.md.")
@click.option(
    "--clients",
    default="test",
    show_default=True,
    help="test, validation, train, all, or names with commas between.",
)
@click.option("--report", type=PATH, required=True, help="Directory to write to.")
@click.option("--seen-clients", is_flag=True, help="Allow training clients (Table 2).")
@click.option(
    "--new-clients",
    is_flag=True,
    help="No client here was trained on; a Keras file's model needs this or "
    "--seen-clients.",
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Where clients are evaluated: processes of this machine, or Ray tasks.",
)
@click.option("--ray-address", help="Of a Ray cluster's head. Default: start one.")
@max_examples_option
@interpreter_option
@public_key_option
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

    The same command goes on where it was stopped.

    \b
    Example:
      fedp evaluate model.tflite --data writers.npz --clients test --report report
    """
    from fedp.training.evaluation.run import evaluate as run_evaluation

    with (
        work_log(report / "log.txt") as log,
        progress_bar("clients", log) as advance,
    ):
        summary = run_evaluation(
            artifact,
            data,
            clients,
            report,
            seed=seed,
            on_result=advance,
            say=log.say,
            **options,
        )
    if as_json:
        print_json({**dataclasses.asdict(summary), "report": str(report)})
        return
    print_table(_summary_rows(summary))
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
