"""The comparison's plots: all runs in one, a colour and a symbol each."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fedp.training.evaluation.comparison import Evaluated
from fedp.training.evaluation.figures import (
    UNCHANGED,
    add_diagonal,
    plotly_objects,
    styled,
)
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.wording import band_label

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_DOTS = 1000  # a run
_COLOURS = ("#2f7ed8", "#d98a00", "#2b9348", "#b455d0", "#d6336c", "#0a9396")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def scatter(runs: Sequence[Evaluated], model: str) -> Figure:
    """Fig. 4 of Jiang et al. 2019: a dot a client and run."""
    figure = plotly_objects().Figure()
    add_diagonal(figure)
    for number, run in enumerate(runs):
        shown = _some(run.results)
        figure.add_scatter(
            x=[r.initial for r in shown],
            y=[getattr(r, model) for r in shown],
            mode="markers",
            name=html.escape(run.name),
            text=[_hover(run.name, r) for r in shown],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": _COLOURS[number % len(_COLOURS)],
                "symbol": _SYMBOLS[number % len(_SYMBOLS)],
                "size": 8,
                "opacity": 0.65,
            },
        )
    axis = {"range": [-0.03, 1.03], "tickformat": ".0%", "dtick": 0.2}
    figure.update_xaxes(title="initial accuracy", zeroline=False, **axis)
    figure.update_yaxes(title=f"{model} accuracy", zeroline=False, **axis)
    return styled(figure, height=480)


def _some(results: Sequence[ClientResult]) -> Sequence[ClientResult]:
    """The same of the same clients, whatever the run."""
    if len(results) <= MOST_DOTS:
        return results
    chosen = np.random.default_rng(0).permutation(len(results))[:MOST_DOTS]
    return [results[number] for number in np.sort(chosen)]


def _hover(run: str, result: ClientResult) -> str:
    return (
        f"<b>{html.escape(result.client)}</b> in {html.escape(run)}<br>"
        f"{result.adapt_examples} examples on the device, {result.test_examples} to "
        f"test<br>initial {result.initial:.1%}, personalized "
        f"{result.personalized:.1%}, deployed {result.deployed:.1%}<br>guard: "
        f"{'kept' if result.kept else 'reverted'}"
    )


def curves(runs: Sequence[Evaluated]) -> Figure:
    """Fig. 2: mean accuracy against local epochs, with 95 % intervals."""
    figure = plotly_objects().Figure()
    for number, run in enumerate(runs):
        curve = run.summary.curve
        figure.add_scatter(
            x=list(range(len(curve))),
            y=[mean.value for mean in curve],
            error_y={
                "type": "data",
                "array": [(m.high or m.value) - m.value for m in curve],
                "thickness": 1,
            },
            mode="lines+markers",
            name=html.escape(run.name),
            line={
                "color": _COLOURS[number % len(_COLOURS)],
                "dash": _DASHES[number % len(_DASHES)],
                "width": 2.5,
            },
            marker={"symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 8},
            hovertemplate="epoch %{x}: %{y:.2%}<extra>"
            + html.escape(run.name)
            + "</extra>",
        )
    figure.update_xaxes(title="local epochs", dtick=1)
    figure.update_yaxes(title="accuracy", tickformat=".1%")
    return styled(figure, height=420)


def hurt(runs: Sequence[Evaluated]) -> Figure:
    """The share of clients hurt, with Wilson's 95 % intervals."""
    figure = plotly_objects().Figure()
    for number, run in enumerate(runs):
        shares = run.summary.hurt_before_guard, run.summary.hurt_after_guard
        figure.add_bar(
            x=["before the guard", "after the guard"],
            y=[each.share for each in shares],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [each.high - each.share for each in shares],
                "arrayminus": [each.share - each.low for each in shares],
                "color": UNCHANGED,
            },
            name=html.escape(run.name),
            marker_color=_COLOURS[number % len(_COLOURS)],
            hovertemplate="%{y:.1%} hurt %{x}<extra>"
            + html.escape(run.name)
            + "</extra>",
        )
    figure.update_yaxes(title="clients hurt", tickformat=".0%", rangemode="tozero")
    return styled(figure, height=420)


def gain_by_band(runs: Sequence[Evaluated]) -> Figure:
    """The deployed models' mean gain by how much data the device had."""
    figure = plotly_objects().Figure()
    starts = {band.lowest: band for run in runs for band in run.summary.bands}
    order = [band_label(starts[lowest]) for lowest in sorted(starts)]
    for number, run in enumerate(runs):
        gains = [band.deployed_gain for band in run.summary.bands]
        figure.add_bar(
            x=[band_label(band) for band in run.summary.bands],
            y=[100 * gain.value for gain in gains],
            error_y={
                "type": "data",
                "array": [100 * ((g.high or g.value) - g.value) for g in gains],
                "color": UNCHANGED,
            },
            name=html.escape(run.name),
            marker_color=_COLOURS[number % len(_COLOURS)],
            hovertemplate="%{x} examples: %{y:+.1f} points<extra>"
            + html.escape(run.name)
            + "</extra>",
        )
    figure.update_xaxes(
        title="examples on the device",
        type="category",
        categoryorder="array",
        categoryarray=order,
    )
    figure.update_yaxes(title="mean gain in points, deployed")
    return styled(figure, height=420)
