"""`fedp report`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import click

from fedp.cli.options import PATH
from fedp.cli.printing import print_json, print_table
from fedp.cli.verb import verb


@verb(needs="evaluating")
@click.argument("reports", type=PATH, nargs=-1, required=True)
@click.option(
    "--out",
    type=PATH,
    default=pathlib.Path("comparison.html"),
    show_default=True,
    help="HTML file to write.",
)
def report(
    as_json: bool, seed: int, reports: tuple[pathlib.Path, ...], out: pathlib.Path
) -> None:
    r"""Compare what `fedp evaluate` wrote into several directories, on one page.

    \b
    Example:
      fedp report before after --out comparison.html
    """
    from fedp.training.evaluation.comparison_page import report as compare

    pairs = compare(reports, out, seed)
    if as_json:
        fields = [dataclasses.asdict(pair) for pair in pairs]
        print_json({"pairs": fields, "report": str(out)})
        return
    print_table(_rows(pairs))
    click.echo(f"\nreport: {out}")


def _rows(pairs: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("against the first", "common clients", "initial", "personalized", "deployed")
    ]
    for pair in pairs:
        gaps = (gap.accuracy for gap in pair.differences)
        shown = (
            f"{100 * m.value:+.2f}"
            + ("" if m.low is None else f" ({100 * m.low:+.2f} to {100 * m.high:+.2f})")
            for m in gaps
        )
        rows.append((pair.other, str(pair.clients), *shown))
    return rows
