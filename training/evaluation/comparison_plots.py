"""The comparison's part with the plots, and tables of what they show."""

from __future__ import annotations

from collections.abc import Sequence

from fedp.training.evaluation import comparison_figures, figures, page
from fedp.training.evaluation.comparison import Evaluated
from fedp.training.evaluation.wording import (
    band_label,
    gain_interval,
    percent,
    points,
)


def plots(runs: Sequence[Evaluated]) -> str:
    """All runs in each plot."""
    most = max(len(run.results) for run in runs)
    drawn = (
        f" At most {comparison_figures.MOST_DOTS:,} a run are drawn, at random."
        if most > comparison_figures.MOST_DOTS
        else ""
    )
    cells = [
        page.figure(
            figures.plot(comparison_figures.scatter(runs, model), f"scatter-{model}"),
            f"Initial and {model} accuracy",
            "A dot is a client; under the dotted diagonal it is worse off than with "
            f"the initial model.{drawn}",
        )
        for model in ("personalized", "deployed")
    ]
    cells += [
        page.figure(
            figures.plot(comparison_figures.curves(runs), "curves"),
            "Accuracy against local epochs",
            "Mean over clients, without the guard.",
            _curve_table(runs),
        ),
        page.figure(
            figures.plot(comparison_figures.hurt(runs), "hurt"),
            "Clients hurt",
            "Before and after the guard, with Wilson's 95 % intervals.",
        ),
        page.figure(
            figures.plot(comparison_figures.gain_by_band(runs), "bands"),
            "Gain by data size, after the guard",
            "Mean over the clients of a band, with its 95 % interval.",
        ),
        _band_table(runs),
    ]
    return page.section(
        "Plots",
        "All runs in one. The clients' numbers are in each run's own report.",
        f'<div class="pair">{"".join(cells)}</div>',
    )


def _curve_table(runs: Sequence[Evaluated]) -> str:
    epochs = range(max(len(run.summary.curve) for run in runs))
    return page.table(
        "Accuracy by local epoch",
        ("local epochs", *(run.name for run in runs)),
        [
            (
                str(epoch),
                *(
                    percent(run.summary.curve[epoch].value)
                    if epoch < len(run.summary.curve)
                    else ""
                    for run in runs
                ),
            )
            for epoch in epochs
        ],
        numbers=range(1, len(runs) + 1),
    )


def _band_table(runs: Sequence[Evaluated]) -> str:
    rows = [
        (
            run.name,
            band_label(band),
            str(band.clients),
            points(band.deployed_gain.value),
            gain_interval(band.deployed_gain),
        )
        for run in runs
        for band in run.summary.bands
    ]
    header = ("run", "examples on the device", "clients", "gain", "95 % interval")
    return page.table("Gain in points by data size", header, rows, numbers=range(1, 5))
