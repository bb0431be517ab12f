"""Figure 2 of Jiang et al. 2019, accuracy by epochs, and the reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedp.training.evaluation.calibration import BINS, Calibration
from fedp.training.evaluation.figures import (
    AFTER_GUARD,
    BEFORE_GUARD,
    UNCHANGED,
    add_diagonal,
    plotly_objects,
    styled,
)
from fedp.training.evaluation.summary import Summary

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BAND_FILL = "rgba(217,138,0,0.22)"


def accuracy_by_epoch(summary: Summary) -> Figure:
    """Fig. 2: mean accuracy against local epochs, with its 95 % interval."""
    objects = plotly_objects()
    epochs = list(range(len(summary.curve)))
    low = [m.value if m.low is None else m.low for m in summary.curve]
    high = [m.value if m.high is None else m.high for m in summary.curve]
    figure = objects.Figure()
    figure.add_scatter(
        x=epochs + epochs[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=_BAND_FILL,
        line={"width": 0},
        hoverinfo="skip",
        name="95 % interval",
    )
    figure.add_scatter(
        x=epochs,
        y=[m.value for m in summary.curve],
        mode="lines+markers",
        name="mean over clients, no guard",
        line={"color": BEFORE_GUARD, "width": 2.5},
        marker={"size": 8},
        hovertemplate="epoch %{x}: %{y:.2%}<extra></extra>",
    )
    figure.add_scatter(
        x=[epochs[0], epochs[-1]],
        y=[summary.deployed.value] * 2,
        mode="lines",
        name="deployed, after the guard",
        line={"color": AFTER_GUARD, "width": 2, "dash": "dash"},
        hovertemplate="deployed: %{y:.2%}<extra></extra>",
    )
    figure.update_xaxes(title="local epochs", dtick=1 if len(epochs) < 16 else None)
    figure.update_yaxes(title="accuracy", tickformat=".1%")
    return styled(figure, height=420)


def reliability(initial: Calibration, deployed: Calibration) -> Figure:
    """Accuracy against confidence; on the diagonal a model is as good as it says."""
    figure = plotly_objects().Figure()
    add_diagonal(figure)
    for name, found, colour, symbol in (
        ("initial", initial, UNCHANGED, "square"),
        ("deployed", deployed, AFTER_GUARD, "circle"),
    ):
        filled = [b for b in range(BINS) if found.counts[b]]
        figure.add_scatter(
            x=[found.confidence[b] for b in filled],
            y=[found.accuracy[b] for b in filled],
            customdata=[found.counts[b] for b in filled],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            marker={"size": 8, "symbol": symbol},
            hovertemplate="sure by %{x:.0%}, right in %{y:.0%} of %{customdata} "
            "answers<extra>" + name + "</extra>",
        )
    axis = {"range": [-0.03, 1.03], "tickformat": ".0%", "dtick": 0.2}
    figure.update_xaxes(title="confidence", zeroline=False, **axis)
    figure.update_yaxes(title="accuracy", zeroline=False, **axis)
    return styled(figure, height=420)
